// SPDX-License-Identifier: Apache-2.0
// What the training raster tells about Gaussians and depth, without gradients.  spec: rasterization.md 5.3, 5.4
#include "parallel.h"
#include "splat_train.h"
#include "splat_walk.h"

namespace milo {
namespace {

template <class T>
struct InstanceStats {
    T weight;
    int32_t drawn, owned;   // pixels
};

template <class T>
void tile_stats(const SplatScene<T>& scene, int tile, InstanceStats<T>* stats) {
    using V = Lanes<T>;
    struct State {
        TilePlane<T> transmittance, largest, largest_at;
    } s;
    const Binning& bins = scene.bins;
    const int64_t begin = bins.tile_begin[tile], end = bins.tile_begin[tile + 1];
    const TileArea area(scene.camera, tile);
    open_pixels(s.transmittance, area);
    s.largest.fill(T(0));
    s.largest_at.fill(T(-1));
    std::fill(stats + begin, stats + end, InstanceStats<T>{T(0), 0, 0});

    const auto draw = [&](int64_t k, const Splat<T>& splat, Strip strip) MILO_INLINE_LAMBDA {
        const V position = V(T(k - begin)), zero = V(T(0)), one = V(T(1));
        const V dx = V(splat.mean.x - T(area.x0 + strip.x)) - V::iota();
        V weight = zero, drawn = zero;
        V dy = V(splat.mean.y - T(area.y0 + strip.top));
        for (int x = strip.x, y = strip.top; y <= strip.bottom; ++y, dy -= V(T(1))) {
            const V before = V::load(s.transmittance.at(x, y));
            const BlendStep<V> step = blend_step(power(splat.falloff, sheared(splat.falloff, dx, dy), dy), before);
            step.transmittance.store(s.transmittance.at(x, y));
            weight += step.weight;
            drawn += select(step.drawn, one, zero);
            keep_largest(s.largest, s.largest_at, x, y, step.weight, position);
        }
        stats[k].weight += sum_of(weight);
        stats[k].drawn += static_cast<int32_t>(sum_of(drawn));
    };
    draw_tile(scene, tile, area, s.transmittance, draw);
    for (int y = 0; y < area.height; ++y)
        for (int x = 0; x < area.width; ++x) {
            const int64_t at = static_cast<int64_t>(*s.largest_at.at(x, y));
            if (at >= 0) ++stats[begin + at].owned;
        }
}

template <class T>
void tile_depth(const SplatScene<T>& scene, const Buffer<Peak<T>>& peaks, int tile, int32_t* index, T* points, T* depth,
                T* transmittance) {
    using V = Lanes<T>;
    struct State {
        TilePlane<T> transmittance, largest, largest_at;
    } s;
    const Binning& bins = scene.bins;
    const Camera<T>& camera = scene.camera;
    const int64_t begin = bins.tile_begin[tile];
    const TileArea area(camera, tile);
    open_pixels(s.transmittance, area);
    s.largest.fill(T(0));
    s.largest_at.fill(T(-1));

    const auto draw = [&](int64_t k, const Splat<T>& splat, Strip strip) MILO_INLINE_LAMBDA {
        const V position = V(T(k - begin)), zero = V(T(0));
        const Vec3<T> b = peaks[bins.gaussian[k]].b;
        const V dx = V(splat.mean.x - T(area.x0 + strip.x)) - V::iota();
        const V ray_x = (V(T(area.x0 + strip.x) + T(0.5) - camera.cx) + V::iota()) / V(camera.fx);
        V dy = V(splat.mean.y - T(area.y0 + strip.top));
        for (int x = strip.x, y = strip.top; y <= strip.bottom; ++y, dy -= V(T(1))) {
            const T ray_y = (T(area.y0 + y) + T(0.5) - camera.cy) / camera.fy;
            const V before = V::load(s.transmittance.at(x, y));
            const BlendStep<V> step = blend_step(power(splat.falloff, sheared(splat.falloff, dx, dy), dy), before);
            // Densest behind the camera: not counted, and it takes no light (quirk Q12).
            const auto in_front = V(b.x) * ray_x + V(b.y * ray_y + b.z) >= zero;
            const auto ended = step.transmittance < zero;
            const V kept = select(in_front, step.transmittance, before);
            select(ended, step.transmittance, kept).store(s.transmittance.at(x, y));
            keep_largest(s.largest, s.largest_at, x, y, select(in_front, step.weight, zero), position);
        }
    };
    draw_tile(scene, tile, area, s.transmittance, draw);

    const int64_t pixels = int64_t(camera.width) * camera.height;
    const Vec3<T> centre = camera.centre();
    for (int y = 0; y < area.height; ++y) {
        const int64_t row = int64_t(area.y0 + y) * camera.width + area.x0;
        for (int x = 0; x < area.width; ++x) {
            const int64_t o = row + x, at = static_cast<int64_t>(*s.largest_at.at(x, y));
            const int32_t i = at >= 0 ? bins.gaussian[begin + at] : -1;
            T z = T(0);
            Vec3<T> point = {T(0), T(0), T(0)};
            if (i >= 0) {
                const Vec3<T> ray = pixel_direction(camera, area.x0 + x, area.y0 + y);
                z = peaks[i].depth(ray);
                point = centre + camera.to_world_direction(z * ray);
            }
            index[o] = i;
            depth[o] = z;
            points[o] = point.x;
            points[o + pixels] = point.y;
            points[o + 2 * pixels] = point.z;
            transmittance[o] = magnitude(*s.transmittance.at(x, y));
        }
    }
}

}  // namespace

template <class T>
void train_stats(const SplatScene<T>& scene, int64_t count, T* accum_weights, int32_t* area_proj, int32_t* area_max) {
    const Binning& bins = scene.bins;
    Buffer<InstanceStats<T>> stats(bins.instances());
    for_each_tile(bins, [&](int tile) { tile_stats(scene, tile, stats.data()); });
    for_each_sum(bins, count, [&](int64_t i, const int32_t* first, const int32_t* last) {
        InstanceStats<T> sum = {T(0), 0, 0};
        for (; first != last; ++first) {
            sum.weight += stats[*first].weight;
            sum.drawn += stats[*first].drawn;
            sum.owned += stats[*first].owned;
        }
        accum_weights[i] = sum.weight;
        area_proj[i] = sum.drawn;
        area_max[i] = sum.owned;
    });
}

template <class T>
void train_depth(const SplatScene<T>& scene, const Gaussians<T>& gaussians, int32_t* index, T* points, T* depth,
                 T* transmittance) {
    Buffer<Peak<T>> peaks(gaussians.count);
    parallel_for(gaussians.count, 256, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i)
            if (scene.placed.touched[i]) peaks[i] = make_peak(scene.camera, gaussians, i);
    });
    for_each_tile(scene.bins, [&](int tile) { tile_depth(scene, peaks, tile, index, points, depth, transmittance); });
}

template void train_stats(const SplatScene<float>&, int64_t, float*, int32_t*, int32_t*);
template void train_stats(const SplatScene<double>&, int64_t, double*, int32_t*, int32_t*);
template void train_depth(const SplatScene<float>&, const Gaussians<float>&, int32_t*, float*, float*, float*);
template void train_depth(const SplatScene<double>&, const Gaussians<double>&, int32_t*, double*, double*, double*);

}  // namespace milo
