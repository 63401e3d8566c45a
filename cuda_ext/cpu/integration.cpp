// SPDX-License-Identifier: Apache-2.0
// A tile is walked once, nearest Gaussian first: each one passes by the samples of the pixels, which say where it
// counts, and at once by the points of the pixels where it does.
#include "integration.h"

#include "splat_project.h"
#include "splat_walk.h"

namespace milo {
namespace {

// Points that the view sees, tile by tile, in a tile row by row, in a row from left to right.
template <class T>
struct SortedPoints {
    Buffer<int32_t> index;               // into the caller's points
    Buffer<int8_t> column;               // of the pixel, in its tile
    Buffer<T> x, y, reach;               // integer-centred pixels
    std::vector<int32_t> pixel_begin;    // [tiles * kTile * kTile + 1]
};

template <class Probe, class T>
SortedPoints<T> sort_points(const Camera<T>& camera, T near_plane, const T* points, int64_t count) {
    SortedPoints<T> sorted;
    const int tiles_x = camera.tiles_x(), area = kTile * kTile;
    Buffer<int32_t> key(count);
    parallel_for(count, 4096, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            const SeenPoint<T> p = see_point<Probe>(camera, vec3_at(points, i), near_plane);
            key[i] = p.x < 0 ? -1
                             : (p.y / kTile * tiles_x + p.x / kTile) * area + p.y % kTile * kTile + p.x % kTile;
        }
    });
    sorted.pixel_begin.assign(size_t(tiles_x) * camera.tiles_y() * area + 1, 0);
    for (int64_t i = 0; i < count; ++i)
        if (key[i] >= 0) ++sorted.pixel_begin[key[i] + 1];
    for (size_t k = 1; k < sorted.pixel_begin.size(); ++k) sorted.pixel_begin[k] += sorted.pixel_begin[k - 1];
    const int64_t seen = sorted.pixel_begin.back();
    sorted.index = Buffer<int32_t>(seen);
    std::vector<int32_t> next(sorted.pixel_begin.begin(), sorted.pixel_begin.end() - 1);
    for (int64_t i = 0; i < count; ++i)
        if (key[i] >= 0) sorted.index[next[key[i]]++] = static_cast<int32_t>(i);
    sorted.column = Buffer<int8_t>(seen);
    for (Buffer<T>* values : {&sorted.x, &sorted.y, &sorted.reach}) *values = Buffer<T>(seen + Lanes<T>::count);
    parallel_for(seen, 4096, [&](int64_t begin, int64_t end, int) {
        for (int64_t k = begin; k < end; ++k) {
            const SeenPoint<T> p = see_point<Probe>(camera, vec3_at(points, sorted.index[k]), near_plane);
            sorted.column[k] = static_cast<int8_t>(p.x % kTile);
            sorted.x[k] = p.at.x;
            sorted.y[k] = p.at.y;
            sorted.reach[k] = p.reach;
        }
    });
    for (int64_t k = seen; k < seen + Lanes<T>::count; ++k) sorted.x[k] = sorted.y[k] = sorted.reach[k] = T(0);
    return sorted;
}

// Values at the corners of a tile's pixels; a row holds whole packs of lanes.
template <class T>
struct CornerPlane {
    static constexpr int stride = kTile + 8;
    static_assert(stride % Lanes<T>::count == 0);
    alignas(64) T value[(kTile + 1) * stride];

    T* at(int x, int y) { return value + y * stride + x; }
};

// Whether a sample sees the Gaussian, 1 or 0; its light is dimmed if so.  One that has too little light for this one
// may have enough for a fainter one behind it.
template <class T>
MILO_INLINE Lanes<T> pass_sample(T* light, Lanes<T> power) {
    using V = Lanes<T>;
    const BlendStep<V> step = blend_step(power, V::load(light));
    magnitude(step.transmittance).store(light);
    return select(step.drawn, V(T(1)), V(T(0)));
}

// light: of the tile's points, 1 before; some that follow are read and written back.
template <class Probe, class T>
void integrate_tile(const SplatScene<T, Probe>& scene, int tile, T near_plane, const SortedPoints<T>& points,
                    T* light) {
    using V = Lanes<T>;
    constexpr int width = V::count;
    const TileArea area(scene.camera, tile);
    const int32_t* begin = points.pixel_begin.data() + int64_t(tile) * kTile * kTile;
    light -= *begin;
    TilePlane<T> centres;
    CornerPlane<T> corners, corner_passes = {};
    centres.fill(T(1));
    std::fill_n(corners.value, sizeof(corners.value) / sizeof(T), T(1));

    for (int64_t k = scene.bins.tile_begin[tile]; k < scene.bins.tile_begin[tile + 1]; ++k) {
        const int32_t i = scene.bins.gaussian[k];
        const Probe& probe = scene.splats[i];
        const Outline<T>& outline = scene.placed.outline[i];
        const PixelRange columns = tile_columns(outline, area.x0, area.y0);
        if (columns.first > columns.last) continue;
        const PixelRange rows = column_rows(outline, area.x0, area.y0, columns.first, columns.last);
        if (begin[rows.first * kTile] >= begin[(rows.last + 1) * kTile]) continue;
        const int left = columns.first & ~(width - 1);
        for (int x = left; x <= columns.last + 1; x += width) {
            const V dx = V(probe.mean.x - T(area.x0 + x) + T(0.5)) - V::iota();
            for (int y = rows.first; y <= rows.last + 1; ++y) {
                const V dy = V(probe.mean.y - T(area.y0 + y) + T(0.5));
                pass_sample(corners.at(x, y), sample_power(probe, dx, dy, near_plane)).store(corner_passes.at(x, y));
            }
        }
        for (int x = left; x <= columns.last; x += width) {
            const V dx = V(probe.mean.x - T(area.x0 + x)) - V::iota();
            for (int y = rows.first; y <= rows.last; ++y) {
                const int32_t first = begin[y * kTile + x], last = begin[y * kTile + x + width];
                if (first == last) continue;
                const V dy = V(probe.mean.y - T(area.y0 + y));
                V passes = pass_sample(centres.at(x, y), sample_power(probe, dx, dy, near_plane));
                for (const int corner : {0, 1})
                    for (const int row : {0, 1}) passes += V::load(corner_passes.at(x + corner, y + row));
                T candidate[width];
                passes.store(candidate);
                for (int32_t p = first; p < last; p += width) {
                    T counts[width] = {};
                    for (int lane = 0; lane < std::min<int>(width, last - p); ++lane)
                        counts[lane] = candidate[points.column[p + lane] - x];
                    const V to_x = V(probe.mean.x) - V::load(&points.x[p]);
                    const V to_y = V(probe.mean.y) - V::load(&points.y[p]);
                    const V power = point_power(probe, to_x, to_y, V::load(&points.reach[p]));
                    light_behind(V::load(light + p), power, V::load(counts) > V(T(0))).store(light + p);
                }
            }
        }
    }
}

}  // namespace

template <class Probe, class T>
void integrate_points(const Camera<T>& camera, T near_plane, const Gaussians<T>& gaussians, const T* points,
                      int64_t count, T* opacity) {
    const SortedPoints<T> sorted = sort_points<Probe>(camera, near_plane, points, count);
    const SplatScene<T, Probe> scene = place_for_points<Probe>(camera, near_plane, gaussians);
    std::fill_n(opacity, count, T(1));
    parallel_for(scene.bins.tiles(), 1, [&](int64_t begin, int64_t end, int) {
        std::vector<T> light;
        for (int64_t k = begin; k < end; ++k) {
            const int tile = scene.bins.busiest[k];
            const int32_t* pixels = sorted.pixel_begin.data() + int64_t(tile) * kTile * kTile;
            const int32_t first = pixels[0], last = pixels[kTile * kTile];
            if (first == last) continue;
            light.assign(last - first + Lanes<T>::count, T(1));
            integrate_tile(scene, tile, near_plane, sorted, light.data());
            for (int32_t p = first; p < last; ++p) opacity[sorted.index[p]] = T(1) - light[p - first];
        }
    });
}

#define MILO_INTEGRATE(Probe, T)                                                                                    \
    template void integrate_points<Probe<T>>(const Camera<T>&, T, const Gaussians<T>&, const T*, int64_t, T*);
MILO_INTEGRATE(RadeProbe, float)
MILO_INTEGRATE(RadeProbe, double)
MILO_INTEGRATE(GofSplat, float)
MILO_INTEGRATE(GofSplat, double)

}  // namespace milo
