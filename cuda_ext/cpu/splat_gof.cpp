// SPDX-License-Identifier: Apache-2.0
#include "splat_gof.h"

namespace milo {
namespace {

// Slopes of the rays of a strip's columns and of a row.
template <class T>
Lanes<T> column_slopes(const Camera<T>& camera, int x) {
    return (Lanes<T>(T(x) + T(0.5) - camera.cx) + Lanes<T>::iota()) * Lanes<T>(T(1) / camera.fx);
}

template <class T>
T row_slope(const Camera<T>& camera, int y) {
    return (T(y) + T(0.5) - camera.cy) / camera.fy;
}

}  // namespace

template <class T>
GofFrame<T>::GofFrame(const Camera<T>& camera, const GeometryOptions<T>& options, const Gaussians<T>& gaussians,
                      const GofImages<T>& images, int32_t* radii)
    : scene_(place_for_gof(camera, options.kernel_size, options.near_plane, gaussians, radii)),
      options_(options),
      ends_(camera) {
    for_each_tile(scene_.bins, [&](int tile) { blend_tile(tile, images); });
}

template <class T>
void GofFrame<T>::blend_tile(int tile, const GofImages<T>& images) {
    using V = Lanes<T>;
    struct State : PixelSums<T> {
        TilePlane<T> median;
    } s;
    const Binning& bins = scene_.bins;
    const int64_t first = bins.tile_begin[tile];
    const Camera<T>& camera = scene_.camera;
    const TileArea area(camera, tile);
    s.open(area);
    s.median.fill(T(0));

    const auto draw = [&](int64_t k, const GofSplat<T>& splat, Strip strip) MILO_INLINE_LAMBDA {
        const V position = V(T(k - first));
        const V dx = V(splat.mean.x - T(area.x0 + strip.x)) - V::iota();
        const V X = column_slopes(camera, area.x0 + strip.x);
        T dy = splat.mean.y - T(area.y0 + strip.top);
        for (int x = strip.x, y = strip.top; y <= strip.bottom; ++y, dy -= T(1)) {
            const V before = V::load(s.transmittance.at(x, y)), Y = V(row_slope(camera, area.y0 + y));
            const GofRay<V> ray = gof_ray(splat, dx, V(dy));
            const BlendStep<V> step = blend_step(gof_power(splat, ray, options_.near_plane), before);
            const V w = step.weight;
            step.transmittance.store(s.transmittance.at(x, y));
            const GofNormal<V> n = gof_normal(camera, splat, ray, X, Y);
            add_at(s.red, x, y, w * V(splat.colour.x));
            add_at(s.green, x, y, w * V(splat.colour.y));
            add_at(s.blue, x, y, w * V(splat.colour.z));
            add_at(s.nx, x, y, w * n.x);
            add_at(s.ny, x, y, w * n.y);
            add_at(s.nz, x, y, w * n.z);
            const auto is_median = step.drawn & (before > V(T(0.5)));
            select(is_median, V(splat.depth) * ray.along, V::load(s.median.at(x, y))).store(s.median.at(x, y));
            select(is_median, position, V::load(s.median_at.at(x, y))).store(s.median_at.at(x, y));
        }
    };
    ends_.walked[tile] = draw_tile(scene_, tile, area, s.transmittance, draw);
    s.end(area, camera, options_.background, images.image, images.alpha, images.normal, ends_);
    for (int y = 0; y < area.height; ++y)
        std::copy_n(s.median.at(0, y), area.width, images.depth + int64_t(area.y0 + y) * camera.width + area.x0);
}

template <class T>
void GofFrame<T>::backward(const Gaussians<T>& gaussians, const GofImages<const T>& images,
                           const GofImageGrads<T>& grads, const GaussianGrads<T>& out) const {
    const Binning& bins = scene_.bins;
    Buffer<T> sums(kSums * bins.instances());
    const bool planes = grads.depth != nullptr, absolute = out.screen != nullptr;
    for_each_tile_backward(bins, planes, absolute, [&](int tile, auto with_planes, auto with_absolute) {
        blend_tile_backward<with_planes(), with_absolute()>(tile, images, grads, sums.data());
    });
    gather_gradients<Raster::gof>(scene_.camera, gaussians, options_.kernel_size, bins, sums.data(), out);
}

template <class T>
template <bool planes, bool absolute>
void GofFrame<T>::blend_tile_backward(int tile, const GofImages<const T>& images, const GofImageGrads<T>& grads,
                                      T* sums) const {
    using V = Lanes<T>;
    struct State : PixelGrads<T> {
        TilePlane<T> depth, median_at;   // gradient of the median depth, and whose it is
    } s = {};   // padding must be finite: it is multiplied by weights of 0
    const Binning& bins = scene_.bins;
    const Camera<T>& camera = scene_.camera;
    const TileArea area(camera, tile);
    const int64_t first = bins.tile_begin[tile], end = bins.tile_begin[tile + 1];
    std::fill(sums + kSums * first, sums + kSums * end, T(0));
    if (ends_.walked[tile] == 0) return;
    s.template open<planes>(area, camera, ends_, images.image, images.normal, grads.image, grads.alpha, grads.normal);
    if constexpr (planes) {
        for (int y = 0; y < area.height; ++y) {
            const int64_t row = int64_t(area.y0 + y) * camera.width + area.x0;
            std::copy_n(grads.depth + row, area.width, s.depth.at(0, y));
            std::copy_n(ends_.median_at.data() + row, area.width, s.median_at.at(0, y));
        }
    }

    const V zero = V(T(0));
    const auto draw = [&](int64_t k, const GofSplat<T>& splat, Strip strip) MILO_INLINE_LAMBDA {
        const V position = V(T(k - first));
        const V dx = V(splat.mean.x - T(area.x0 + strip.x)) - V::iota();
        const V X = column_slopes(camera, area.x0 + strip.x);
        V total[kSums];
        for (V& sum : total) sum = zero;
        T dy = splat.mean.y - T(area.y0 + strip.top);
        for (int x = strip.x, y = strip.top; y <= strip.bottom; ++y, dy -= T(1)) {
            const V before = V::load(s.transmittance.at(x, y)), Y = V(row_slope(camera, area.y0 + y));
            const GofRay<V> ray = gof_ray(splat, dx, V(dy));
            const BlendStep<V> step = blend_step(gof_power(splat, ray, options_.near_plane), before);
            step.transmittance.store(s.transmittance.at(x, y));
            const V w = step.weight;
            const V g_red = V::load(s.red.at(x, y)), g_green = V::load(s.green.at(x, y));
            const V g_blue = V::load(s.blue.at(x, y));
            V value = V::load(s.alpha.at(x, y)) + V(splat.colour.x) * g_red;
            value += V(splat.colour.y) * g_green;
            value += V(splat.colour.z) * g_blue;
            total[kSumColour] += w * g_red;
            total[kSumColour + 1] += w * g_green;
            total[kSumColour + 2] += w * g_blue;
            V g_normal[3] = {zero, zero, zero}, g_depth = zero;
            GofNormal<V> normal = {zero, zero, zero, zero};
            if constexpr (planes) {
                normal = gof_normal(camera, splat, ray, X, Y);
                g_normal[0] = V::load(s.nx.at(x, y));
                g_normal[1] = V::load(s.ny.at(x, y));
                g_normal[2] = V::load(s.nz.at(x, y));
                value += normal.x * g_normal[0] + normal.y * g_normal[1] + normal.z * g_normal[2];
                for (V& g : g_normal) g = w * g;
                const auto is_median = V::load(s.median_at.at(x, y)) == position;
                g_depth = select(is_median, V::load(s.depth.at(x, y)), zero);
            }
            const V remaining = V::load(s.remaining.at(x, y)) - w * value;
            remaining.store(s.remaining.at(x, y));
            const V g_alpha = alpha_gradient(step, before, value, remaining);
            const V q = select(step.drawn, step.unclamped * g_alpha, zero);
            total[kSumQ] += q;
            if constexpr (absolute) {
                total[kSumQx] += q * dx;
                total[kSumQy] += q * V(dy);
                total[kSumAbs] += magnitude(q) * gof_pull(camera, splat, dx, V(dy));
            }
            const GofPixelGrad<V> g = gof_backward<planes>(camera, splat, ray, q, g_depth, normal, g_normal, X, Y);
            for (int c = 0; c < 3; ++c) total[kGofMean + c] += g.mean[c];
            for (int c = 0; c < 6; ++c) total[kGofMetric + c] += g.metric[c];
        }
        add_sums<kSums>(total, sums + kSums * k);
    };
    redraw_tile(scene_, tile, area, ends_.walked[tile], draw);
}

template class GofFrame<float>;
template class GofFrame<double>;

}  // namespace milo
