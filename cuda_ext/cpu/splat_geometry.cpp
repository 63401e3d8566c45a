// SPDX-License-Identifier: Apache-2.0
#include "splat_geometry.h"

namespace milo {

template <class T>
GeometryFrame<T>::GeometryFrame(const Camera<T>& camera, const GeometryOptions<T>& options,
                                const Gaussians<T>& gaussians, const GeometryImages<T>& images, int32_t* radii)
    : scene_(place_for_geometry(camera, options.kernel_size, options.near_plane, gaussians, radii)),
      options_(options),
      ends_(camera) {
    for_each_tile(scene_.bins, [&](int tile) { blend_tile(tile, images); });
}

template <class T>
void GeometryFrame<T>::blend_tile(int tile, const GeometryImages<T>& images) {
    using V = Lanes<T>;
    struct State : PixelSums<T> {
        TilePlane<T> distance;
    } s;
    const Binning& bins = scene_.bins;
    const int64_t begin = bins.tile_begin[tile];
    const Camera<T>& camera = scene_.camera;
    const TileArea area(camera, tile);
    s.open(area);
    s.distance.fill(T(0));

    const auto draw = [&](int64_t k, const Splat<T>& splat, Strip strip) MILO_INLINE_LAMBDA {
        const V position = V(T(k - begin));
        const V dx = V(splat.mean.x - T(area.x0 + strip.x)) - V::iota();
        const V distance_x = V(splat.distance) + V(splat.slope.x) * dx;
        V dy = V(splat.mean.y - T(area.y0 + strip.top));
        for (int x = strip.x, y = strip.top; y <= strip.bottom; ++y, dy -= V(T(1))) {
            const V before = V::load(s.transmittance.at(x, y));
            const BlendStep<V> step = blend_step(power(splat.falloff, sheared(splat.falloff, dx, dy), dy), before);
            const V w = step.weight;
            step.transmittance.store(s.transmittance.at(x, y));
            add_at(s.red, x, y, w * V(splat.colour.x));
            add_at(s.green, x, y, w * V(splat.colour.y));
            add_at(s.blue, x, y, w * V(splat.colour.z));
            add_at(s.distance, x, y, w * (distance_x + V(splat.slope.y) * dy));
            add_at(s.nx, x, y, w * V(splat.normal.x));
            add_at(s.ny, x, y, w * V(splat.normal.y));
            add_at(s.nz, x, y, w * V(splat.normal.z));
            const auto is_median = step.drawn & (before > V(T(0.5)));
            select(is_median, position, V::load(s.median_at.at(x, y))).store(s.median_at.at(x, y));
        }
    };
    ends_.walked[tile] = draw_tile(scene_, tile, area, s.transmittance, draw);
    s.end(area, camera, options_.background, images.image, images.alpha, images.normal, ends_);

    for (int y = 0; y < area.height; ++y) {
        const int64_t row = int64_t(area.y0 + y) * camera.width + area.x0;
        MILO_INDEPENDENT
        for (int x = 0; x < area.width; ++x) {
            const T ray = ray_length(camera, area.x0 + x, area.y0 + y);
            images.expected_depth[row + x] = expected_depth(*s.distance.at(x, y), images.alpha[row + x], ray);
        }
        for (int x = 0; x < area.width; ++x) {
            const int64_t o = row + x;
            T median = T(0);
            if (ends_.median_at[o] >= 0) {
                const Splat<T>& splat = scene_.splats[bins.gaussian[begin + ends_.median_at[o]]];
                median = splat_distance(splat, splat.mean.x - T(area.x0 + x), splat.mean.y - T(area.y0 + y));
            }
            images.median_depth[o] = median / ray_length(camera, area.x0 + x, area.y0 + y);
        }
    }
}

template <class T>
void GeometryFrame<T>::backward(const Gaussians<T>& gaussians, const GeometryImages<const T>& images,
                                const GeometryImageGrads<T>& grads, const GaussianGrads<T>& out) const {
    const Binning& bins = scene_.bins;
    Buffer<T> sums(kSums * bins.instances());
    const bool planes = grads.expected_depth != nullptr, absolute = out.screen != nullptr;
    for_each_tile_backward(bins, planes, absolute, [&](int tile, auto with_planes, auto with_absolute) {
        blend_tile_backward<with_planes(), with_absolute()>(tile, images, grads, sums.data());
    });
    gather_gradients<Raster::geometry>(scene_.camera, gaussians, options_.kernel_size, bins, sums.data(), out);
}

template <class T>
template <bool planes, bool absolute>
void GeometryFrame<T>::blend_tile_backward(int tile, const GeometryImages<const T>& images,
                                           const GeometryImageGrads<T>& grads, T* sums) const {
    using V = Lanes<T>;
    struct State : PixelGrads<T> {
        TilePlane<T> distance;
    } s = {};   // padding must be finite: it is multiplied by weights of 0
    const Binning& bins = scene_.bins;
    const Camera<T>& camera = scene_.camera;
    const TileArea area(camera, tile);
    const int64_t begin = bins.tile_begin[tile], end = bins.tile_begin[tile + 1];
    std::fill(sums + kSums * begin, sums + kSums * end, T(0));
    if (ends_.walked[tile] == 0) return;
    s.template open<planes>(area, camera, ends_, images.image, images.normal, grads.image, grads.alpha, grads.normal);
    if constexpr (planes) {
        for (int y = 0; y < area.height; ++y) {
            const int64_t row = int64_t(area.y0 + y) * camera.width + area.x0;
            MILO_INDEPENDENT
            for (int x = 0; x < area.width; ++x) {
                const int64_t o = row + x;
                const T a = T(1) - ends_.transmittance[o], ray = ray_length(camera, area.x0 + x, area.y0 + y);
                const auto g_expected = expected_depth_backward(grads.expected_depth[o], images.expected_depth[o], a, ray);
                *s.distance.at(x, y) = g_expected.distance;
                *s.alpha.at(x, y) += g_expected.alpha;
            }
            for (int x = 0; x < area.width; ++x) {   // the median's only path: to the distance of its own Gaussian
                const int64_t o = row + x;
                if (ends_.median_at[o] < 0) continue;
                const int64_t k = begin + ends_.median_at[o];
                const Vec2<T> mean = scene_.splats[bins.gaussian[k]].mean;
                const T g_median = grads.median_depth[o] / ray_length(camera, area.x0 + x, area.y0 + y);
                sums[kSums * k + kSumD] += g_median;
                sums[kSums * k + kSumDx] += g_median * (mean.x - T(area.x0 + x));
                sums[kSums * k + kSumDy] += g_median * (mean.y - T(area.y0 + y));
            }
        }
    }

    const V zero = V(T(0));
    const auto draw = [&](int64_t k, const Splat<T>& splat, Strip strip) MILO_INLINE_LAMBDA {
        const MeanPull<T> pull = make_mean_pull(camera, splat.falloff);
        const V dx = V(splat.mean.x - T(area.x0 + strip.x)) - V::iota();
        const V distance_x = V(splat.distance) + V(splat.slope.x) * dx;
        V red = zero, green = zero, blue = zero, q0 = zero, q1 = zero, q2 = zero, abs_sum = zero;
        V d0 = zero, d1 = zero, nx = zero, ny = zero, nz = zero;
        V dy = V(splat.mean.y - T(area.y0 + strip.top));
        for (int x = strip.x, y = strip.top; y <= strip.bottom; ++y, dy -= V(T(1))) {
            const V before = V::load(s.transmittance.at(x, y));
            const V u = sheared(splat.falloff, dx, dy);
            const BlendStep<V> step = blend_step(power(splat.falloff, u, dy), before);
            step.transmittance.store(s.transmittance.at(x, y));
            const V w = step.weight;
            const V g_red = V::load(s.red.at(x, y)), g_green = V::load(s.green.at(x, y));
            const V g_blue = V::load(s.blue.at(x, y));
            V value = V::load(s.alpha.at(x, y)) + V(splat.colour.x) * g_red;
            value += V(splat.colour.y) * g_green;
            value += V(splat.colour.z) * g_blue;
            red += w * g_red;
            green += w * g_green;
            blue += w * g_blue;
            if constexpr (planes) {
                const V g_distance = V::load(s.distance.at(x, y));
                const V g_nx = V::load(s.nx.at(x, y)), g_ny = V::load(s.ny.at(x, y)), g_nz = V::load(s.nz.at(x, y));
                value += (distance_x + V(splat.slope.y) * dy) * g_distance;
                value += V(splat.normal.x) * g_nx;
                value += V(splat.normal.y) * g_ny;
                value += V(splat.normal.z) * g_nz;
                nx += w * g_nx;
                ny += w * g_ny;
                nz += w * g_nz;
                const V d = w * g_distance;
                d0 += d;
                d1 += dy * d;
            }
            const V remaining = V::load(s.remaining.at(x, y)) - w * value;
            remaining.store(s.remaining.at(x, y));
            const V g_alpha = alpha_gradient(step, before, value, remaining);
            const V q = select(step.drawn, step.unclamped * g_alpha, zero);
            const V q_dy = dy * q;
            q0 += q;
            q1 += q_dy;
            q2 += dy * q_dy;
            if constexpr (absolute) abs_sum += magnitude(q) * pull.size(u, dy);
        }
        const V q_dx = q0 * dx;
        V total[kSums];
        total[kSumColour] = red, total[kSumColour + 1] = green, total[kSumColour + 2] = blue;
        total[kSumQ] = q0, total[kSumQx] = q_dx, total[kSumQy] = q1;
        total[kSumQxx] = q_dx * dx, total[kSumQxy] = q1 * dx, total[kSumQyy] = q2;
        total[kSumAbs] = abs_sum;
        total[kSumD] = d0, total[kSumDx] = d0 * dx, total[kSumDy] = d1;
        total[kSumNormal] = nx, total[kSumNormal + 1] = ny, total[kSumNormal + 2] = nz;
        add_sums<kSums>(total, sums + kSums * k);
    };
    redraw_tile(scene_, tile, area, ends_.walked[tile], draw);
}

template class GeometryFrame<float>;
template class GeometryFrame<double>;

}  // namespace milo
