// SPDX-License-Identifier: Apache-2.0
// How a tile is walked: Gaussians outside, strips of neighbouring pixel columns inside, rows innermost; only the rows
// and columns that an outline touches.  spec: rasterization.md 9.3, 9.4
#pragma once
#include <algorithm>

#include "lanes.h"
#include "parallel.h"
#include "splat_project.h"

namespace milo {

// f(tile) for all tiles, those with most Gaussians first.
template <class F>
void for_each_tile(const Binning& bins, F f) {
    parallel_for(bins.tiles(), 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t k = begin; k < end; ++k) f(bins.busiest[k]);
    });
}

// A per-pixel value of a tile.
template <class T>
struct TilePlane {
    // A cache line more than needed: planes a multiple of 1 KiB apart would get in each other's way in the caches.
    static constexpr int size = kTile * kTile + 64 / sizeof(T);
    alignas(64) T value[size];

    T* at(int x, int y) { return value + y * kTile + x; }
    const T* at(int x, int y) const { return value + y * kTile + x; }
    void fill(T v) { std::fill_n(value, size, v); }
};

// Pixels of a tile that lie inside the image.
struct TileArea {
    int x0, y0, width, height;

    template <class T>
    TileArea(const Camera<T>& camera, int tile)
        : x0(tile % camera.tiles_x() * kTile),
          y0(tile / camera.tiles_x() * kTile),
          width(std::min(kTile, camera.width - x0)),
          height(std::min(kTile, camera.height - y0)) {}
};

// Transmittance before anything is drawn: 1 inside the image; pixels outside count as ended.
template <class T>
void open_pixels(TilePlane<T>& transmittance, const TileArea& area) {
    transmittance.fill(T(-1));
    for (int y = 0; y < area.height; ++y) std::fill_n(transmittance.at(0, y), area.width, T(1));
}

template <class T>
bool all_ended(const TilePlane<T>& transmittance) {
    using V = Lanes<T>;
    V most = V(T(-1));
    for (int y = 0; y < kTile; ++y)
        for (int x = 0; x < kTile; x += V::count) most = larger(most, V::load(transmittance.at(x, y)));
    T lanes[V::count];
    most.store(lanes);
    return *std::max_element(lanes, lanes + V::count) < T(0);
}

// Part of a tile that a Gaussian touches: Lanes<T>::count columns from x on, rows top to bottom.  Strips stand at
// multiples of that count: memory is then read as it was written just before, which is worth more than fewer strips.
struct Strip {
    int32_t offset;   // of the instance in its batch
    int32_t x, top, bottom;
};

constexpr int kBatch = 16;   // Gaussians whose strips are found together: the square roots overlap

// draw(instance, splat, strip) for the strips of instances [begin, end), at most kBatch, in order; the tile ends at
// stop.
template <class T, class S, class Draw>
MILO_INLINE void draw_batch(const SplatScene<T, S>& scene, const TileArea& area, int64_t begin, int64_t end, int64_t stop,
                            Draw draw) {
    constexpr int width = Lanes<T>::count;
    const int32_t* gaussian = scene.bins.gaussian.data();
    static_assert(kTile % width == 0);
    Strip strips[kBatch * kTile / width + 1];
    int count = 0;
    for (int64_t k = begin; k < end; ++k) {
        const int32_t ahead = gaussian[std::min(k + kBatch, stop - 1)];
        MILO_PREFETCH(&scene.splats[ahead]);
        MILO_PREFETCH(&scene.placed.outline[ahead]);
        const Outline<T>& outline = scene.placed.outline[gaussian[k]];
        const PixelRange columns = tile_columns(outline, area.x0, area.y0);
        for (int x = columns.first & ~(width - 1); x <= columns.last; x += width) {
            const PixelRange rows = column_rows(outline, area.x0, area.y0, std::max(x, columns.first),
                                                std::min(x + width - 1, columns.last));
            strips[count] = {static_cast<int32_t>(k - begin), x, rows.first, rows.last};
            count += rows.first <= rows.last;
        }
    }
    for (const Strip* strip = strips; strip != strips + count; ++strip)
        draw(begin + strip->offset, scene.splats[gaussian[begin + strip->offset]], *strip);
}

// draw front to back until all pixels have ended.  Returns how many Gaussians were walked.
template <class T, class S, class Draw>
MILO_INLINE int32_t draw_tile(const SplatScene<T, S>& scene, int tile, const TileArea& area,
                              const TilePlane<T>& transmittance, Draw draw) {
    const int64_t begin = scene.bins.tile_begin[tile], stop = scene.bins.tile_begin[tile + 1];
    for (int64_t k = begin; k < stop; k += kBatch) {
        if (all_ended(transmittance)) return static_cast<int32_t>(k - begin);
        draw_batch(scene, area, k, std::min(k + kBatch, stop), stop, draw);
    }
    return static_cast<int32_t>(stop - begin);
}

// Once more the first `walked` Gaussians of the tile.
template <class T, class S, class Draw>
MILO_INLINE void redraw_tile(const SplatScene<T, S>& scene, int tile, const TileArea& area, int32_t walked, Draw draw) {
    const int64_t begin = scene.bins.tile_begin[tile], stop = begin + walked;
    for (int64_t k = begin; k < stop; k += kBatch) draw_batch(scene, area, k, std::min(k + kBatch, stop), stop, draw);
}

template <class T>
MILO_INLINE void add_at(TilePlane<T>& plane, int x, int y, Lanes<T> value) {
    (Lanes<T>::load(plane.at(x, y)) + value).store(plane.at(x, y));
}

// The first of equal weights stays.
template <class T>
MILO_INLINE void keep_largest(TilePlane<T>& largest, TilePlane<T>& largest_at, int x, int y, Lanes<T> weight,
                              Lanes<T> position) {
    const Lanes<T> old = Lanes<T>::load(largest.at(x, y));
    const auto larger_now = weight > old;
    larger(weight, old).store(largest.at(x, y));
    select(larger_now, position, Lanes<T>::load(largest_at.at(x, y))).store(largest_at.at(x, y));
}

}  // namespace milo
