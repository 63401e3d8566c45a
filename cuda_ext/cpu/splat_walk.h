// SPDX-License-Identifier: Apache-2.0
// How a tile is walked: Gaussians outside, strips of neighbouring pixel columns inside, rows innermost; only the rows
// and columns that an outline touches.  spec: rasterization.md 9.3, 9.4
#pragma once
#include <algorithm>

#include "lanes.h"
#include "splat_project.h"

namespace milo {

// A per-pixel value of a tile.  Rows are padded so that a strip may start at any column.
template <class T>
struct TilePlane {
    static constexpr int stride = kTile + Lanes<T>::count;
    alignas(64) T value[kTile * stride];

    T* at(int x, int y) { return value + y * stride + x; }
    const T* at(int x, int y) const { return value + y * stride + x; }
    void fill(T v) { std::fill_n(value, kTile * stride, v); }
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

constexpr int kEndedCheck = 16;   // Gaussians between two looks whether the whole tile has ended

constexpr int kPrefetch = 4;   // Gaussians whose data are asked for ahead

template <class T>
MILO_INLINE void prefetch_ahead(const SplatScene<T>& scene, int64_t k, int64_t end) {
    const int32_t ahead = scene.bins.gaussian[std::min(k + kPrefetch, end - 1)];
    MILO_PREFETCH(&scene.splats[ahead]);
    MILO_PREFETCH(&scene.placed.outline[ahead]);
}

// visit(instance, splat) front to back until all pixels have ended.  Returns how many were visited.
template <class T, class Visit>
MILO_INLINE int32_t walk_tile(const SplatScene<T>& scene, int tile, const TilePlane<T>& transmittance, Visit visit) {
    const int64_t begin = scene.bins.tile_begin[tile], end = scene.bins.tile_begin[tile + 1];
    int64_t k = begin;
    for (; k < end; ++k) {
        if ((k - begin) % kEndedCheck == kEndedCheck - 1 && all_ended(transmittance)) break;
        prefetch_ahead(scene, k, end);
        visit(k, scene.splats[scene.bins.gaussian[k]]);
    }
    return static_cast<int32_t>(k - begin);
}

// strip(x, top, bottom): Lanes<T>::count pixels from column x on, rows top..bottom, all within the tile's planes.
template <class T, class Strip>
MILO_INLINE void walk_strips(const Outline<T>& outline, const TileArea& area, Strip strip) {
    int first, last;
    if (!tile_columns(outline, area.x0, area.y0, first, last)) return;
    for (int x = first; x <= last; x += Lanes<T>::count) {
        int top, bottom;
        const int right = std::min(x + Lanes<T>::count - 1, last);
        if (column_rows(outline, area.x0, area.y0, x, right, top, bottom)) strip(x, top, bottom);
    }
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
