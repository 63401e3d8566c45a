// SPDX-License-Identifier: Apache-2.0
#include "splat_train.h"

#include "splat_walk.h"

namespace milo {

template <class T>
TrainFrame<T>::TrainFrame(const Camera<T>& camera, T near_plane, Vec3<T> background, const Gaussians<T>& gaussians,
                          T* image, int32_t* radii, int32_t* area_max)
    : scene_(place_for_training(camera, near_plane, gaussians, radii)),
      background_(background),
      walked_(camera.tiles_x() * camera.tiles_y()) {
    const Binning& bins = scene_.bins;
    Buffer<int32_t> owned(bins.instances());
    for_each_tile(bins, [&](int tile) { blend_tile(tile, image, owned.data()); });
    for_each_sum(bins, gaussians.count, [&](int64_t i, const int32_t* first, const int32_t* last) {
        area_max[i] = 0;
        for (; first != last; ++first) area_max[i] += owned[*first];
    });
}

template <class T>
void TrainFrame<T>::blend_tile(int tile, T* image, int32_t* owned) {
    using V = Lanes<T>;
    struct State {
        TilePlane<T> transmittance, red, green, blue, largest, largest_at;
    } s;
    const Binning& bins = scene_.bins;
    const int64_t begin = bins.tile_begin[tile], end = bins.tile_begin[tile + 1];
    const TileArea area(scene_.camera, tile);
    open_pixels(s.transmittance, area);
    for (auto* plane : {&s.red, &s.green, &s.blue, &s.largest}) plane->fill(T(0));
    s.largest_at.fill(T(-1));

    const auto draw = [&](int64_t k, const Splat<T>& splat, Strip strip) MILO_INLINE_LAMBDA {
        const V position = V(T(k - begin));
        const V dx = V(splat.mean.x - T(area.x0 + strip.x)) - V::iota();
        V dy = V(splat.mean.y - T(area.y0 + strip.top));
        for (int x = strip.x, y = strip.top; y <= strip.bottom; ++y, dy -= V(T(1))) {
            const V before = V::load(s.transmittance.at(x, y));
            const BlendStep<V> step = blend_step(power(splat.falloff, sheared(splat.falloff, dx, dy), dy), before);
            step.transmittance.store(s.transmittance.at(x, y));
            add_at(s.red, x, y, step.weight * V(splat.colour.x));
            add_at(s.green, x, y, step.weight * V(splat.colour.y));
            add_at(s.blue, x, y, step.weight * V(splat.colour.z));
            keep_largest(s.largest, s.largest_at, x, y, step.weight, position);
        }
    };
    walked_[tile] = draw_tile(scene_, tile, area, s.transmittance, draw);

    std::fill(owned + begin, owned + end, 0);
    const int64_t pixels = int64_t(scene_.camera.width) * scene_.camera.height;
    for (int y = 0; y < area.height; ++y) {
        const int64_t row = int64_t(area.y0 + y) * scene_.camera.width + area.x0;
        for (int x = 0; x < area.width; ++x) {
            const T t = magnitude(*s.transmittance.at(x, y));
            image[row + x] = *s.red.at(x, y) + t * background_.x;
            image[row + x + pixels] = *s.green.at(x, y) + t * background_.y;
            image[row + x + 2 * pixels] = *s.blue.at(x, y) + t * background_.z;
            const int64_t at = static_cast<int64_t>(*s.largest_at.at(x, y));
            if (at >= 0) ++owned[begin + at];
        }
    }
}

template <class T>
void TrainFrame<T>::backward(const Gaussians<T>& gaussians, const T* image, const T* g_image,
                             const GaussianGrads<T>& out) const {
    const Binning& bins = scene_.bins;
    Buffer<T> sums(kSums * bins.instances());
    for_each_tile(bins, [&](int tile) { blend_tile_backward(tile, image, g_image, sums.data()); });
    gather_gradients<Raster::training>(scene_.camera, gaussians, T(kTrainLowPass), bins, sums.data(), out);
}

template <class T>
void TrainFrame<T>::blend_tile_backward(int tile, const T* image, const T* g_image, T* sums) const {
    using V = Lanes<T>;
    struct State {
        TilePlane<T> transmittance, remaining, red, green, blue;
    } s = {};   // padding must be finite: it is multiplied by weights of 0
    const Binning& bins = scene_.bins;
    const int64_t begin = bins.tile_begin[tile], end = bins.tile_begin[tile + 1];
    std::fill(sums + kSums * begin, sums + kSums * end, T(0));
    if (walked_[tile] == 0) return;
    const TileArea area(scene_.camera, tile);
    open_pixels(s.transmittance, area);
    const int64_t pixels = int64_t(scene_.camera.width) * scene_.camera.height;
    for (int y = 0; y < area.height; ++y) {
        const int64_t row = int64_t(area.y0 + y) * scene_.camera.width + area.x0;
        for (int x = 0; x < area.width; ++x) {
            const int64_t o = row + x;
            *s.red.at(x, y) = g_image[o];
            *s.green.at(x, y) = g_image[o + pixels];
            *s.blue.at(x, y) = g_image[o + 2 * pixels];
            *s.remaining.at(x, y) = g_image[o] * image[o] + g_image[o + pixels] * image[o + pixels] +
                                    g_image[o + 2 * pixels] * image[o + 2 * pixels];
        }
    }

    const V zero = V(T(0));
    const auto draw = [&](int64_t k, const Splat<T>& splat, Strip strip) MILO_INLINE_LAMBDA {
        const V dx = V(splat.mean.x - T(area.x0 + strip.x)) - V::iota();
        V red = zero, green = zero, blue = zero;
        V q0 = zero, q1 = zero, q2 = zero, moved0 = zero, moved1 = zero;
        V dy = V(splat.mean.y - T(area.y0 + strip.top));
        for (int x = strip.x, y = strip.top; y <= strip.bottom; ++y, dy -= V(T(1))) {
            const V before = V::load(s.transmittance.at(x, y));
            const BlendStep<V> step = blend_step(power(splat.falloff, sheared(splat.falloff, dx, dy), dy), before);
            step.transmittance.store(s.transmittance.at(x, y));
            const V w = step.weight;
            const V g_red = V::load(s.red.at(x, y)), g_green = V::load(s.green.at(x, y));
            const V g_blue = V::load(s.blue.at(x, y));
            const V value = V(splat.colour.x) * g_red + V(splat.colour.y) * g_green + V(splat.colour.z) * g_blue;
            red += w * g_red;
            green += w * g_green;
            blue += w * g_blue;
            const V remaining = V::load(s.remaining.at(x, y)) - w * value;
            remaining.store(s.remaining.at(x, y));
            const V moved = select(step.drawn, step.unclamped * alpha_gradient(step, before, value, remaining), zero);
            // A saturated alpha passes gradient to the position alone (quirk Q7).
            const V q = select(step.unclamped > V(kAlphaMax), zero, moved), q_dy = dy * q;
            moved0 += moved;
            moved1 += dy * moved;
            q0 += q;
            q1 += q_dy;
            q2 += dy * q_dy;
        }
        V total[kSums];
        std::fill(total, total + kSums, zero);
        total[kSumColour] = red, total[kSumColour + 1] = green, total[kSumColour + 2] = blue;
        total[kSumQ] = q0, total[kSumQx] = moved0 * dx, total[kSumQy] = moved1;
        total[kSumQxx] = q0 * dx * dx, total[kSumQxy] = q1 * dx, total[kSumQyy] = q2;
        add_sums<kSums>(total, sums + kSums * k);
    };
    redraw_tile(scene_, tile, area, walked_[tile], draw);
}

template class TrainFrame<float>;
template class TrainFrame<double>;

}  // namespace milo
