// SPDX-License-Identifier: Apache-2.0
// What the rasters with depths and normals, RaDe-GS's and GOF's, do alike in a tile before and after they draw.
// spec: rasterization.md 1.10, 1.11
#pragma once
#include <type_traits>

#include "geometry_pixel.h"
#include "splat_walk.h"

namespace milo {

// What the backward pass needs of the forward pass.
template <class T>
struct PixelEnds {
    explicit PixelEnds(const Camera<T>& camera)
        : transmittance(int64_t(camera.width) * camera.height),
          normal_length(int64_t(camera.width) * camera.height),
          median_at(int64_t(camera.width) * camera.height),
          walked(camera.tiles_x() * camera.tiles_y()) {}

    Buffer<T> transmittance, normal_length;   // [H,W] at the end of each pixel
    Buffer<int32_t> median_at;                // [H,W] position in the tile's list, -1 for none
    Buffer<int32_t> walked;                   // [tiles] Gaussians until all pixels had ended
};

// Sums over the Gaussians of each pixel.
template <class T>
struct PixelSums {
    TilePlane<T> transmittance, red, green, blue, nx, ny, nz, median_at;

    void open(const TileArea& area) {
        open_pixels(transmittance, area);
        for (auto* plane : {&red, &green, &blue, &nx, &ny, &nz}) plane->fill(T(0));
        median_at.fill(T(-1));
    }

    void end(const TileArea& area, const Camera<T>& camera, Vec3<T> background, T* image, T* alpha, T* normal,
             PixelEnds<T>& ends) const {
        const int64_t pixels = int64_t(camera.width) * camera.height;
        for (int y = 0; y < area.height; ++y) {
            const int64_t row = int64_t(area.y0 + y) * camera.width + area.x0;
            MILO_INDEPENDENT
            for (int x = 0; x < area.width; ++x) {
                const int64_t o = row + x;
                const T t = magnitude(*transmittance.at(x, y));
                const Vec3<T> n = {*nx.at(x, y), *ny.at(x, y), *nz.at(x, y)};
                const T n_length = length(n), n_inverse = T(1) / larger(n_length, T(kNormalFloor));
                image[o] = *red.at(x, y) + t * background.x;
                image[o + pixels] = *green.at(x, y) + t * background.y;
                image[o + 2 * pixels] = *blue.at(x, y) + t * background.z;
                alpha[o] = T(1) - t;
                normal[o] = n.x * n_inverse;
                normal[o + pixels] = n.y * n_inverse;
                normal[o + 2 * pixels] = n.z * n_inverse;
                ends.transmittance[o] = t;
                ends.normal_length[o] = n_length;
                ends.median_at[o] = static_cast<int32_t>(*median_at.at(x, y));
            }
        }
    }
};

// Gradients per unit of weight, and what the Gaussians not yet walked contribute to the loss.
template <class T>
struct PixelGrads {
    TilePlane<T> transmittance, remaining, red, green, blue, alpha, nx, ny, nz;

    // normal, g_normal: only read with planes.  g_alpha may be null.
    template <bool planes>
    void open(const TileArea& area, const Camera<T>& camera, const PixelEnds<T>& ends, const T* image, const T* normal,
              const T* g_image, const T* g_alpha, const T* g_normal) {
        open_pixels(transmittance, area);
        const int64_t pixels = int64_t(camera.width) * camera.height;
        for (int y = 0; y < area.height; ++y) {
            const int64_t row = int64_t(area.y0 + y) * camera.width + area.x0;
            MILO_INDEPENDENT
            for (int x = 0; x < area.width; ++x) {
                const int64_t o = row + x;
                const Vec3<T> g = {g_image[o], g_image[o + pixels], g_image[o + 2 * pixels]};
                *red.at(x, y) = g.x;
                *green.at(x, y) = g.y;
                *blue.at(x, y) = g.z;
                const T of_alpha = g_alpha ? g_alpha[o] : T(0);
                *alpha.at(x, y) = of_alpha;
                // The normalised outputs (expected depth, normal) contribute nothing to the total: scaling all weights
                // together does not change them.
                *remaining.at(x, y) = g.x * image[o] + g.y * image[o + pixels] + g.z * image[o + 2 * pixels] +
                                      of_alpha * (T(1) - ends.transmittance[o]);
            }
            if constexpr (planes) {
                MILO_INDEPENDENT
                for (int x = 0; x < area.width; ++x) {
                    const int64_t o = row + x;
                    const Vec3<T> n = {normal[o], normal[o + pixels], normal[o + 2 * pixels]};
                    const Vec3<T> gn = {g_normal[o], g_normal[o + pixels], g_normal[o + 2 * pixels]};
                    const Vec3<T> g_sum = summed_normal_backward(n, ends.normal_length[o], gn);
                    *nx.at(x, y) = g_sum.x;
                    *ny.at(x, y) = g_sum.y;
                    *nz.at(x, y) = g_sum.z;
                }
            }
        }
    }
};

// blend(tile, planes, absolute) for all tiles, the two as std::bool_constant.
template <class Blend>
void for_each_tile_backward(const Binning& bins, bool planes, bool absolute, Blend blend) {
    const auto run = [&](auto with_planes, auto with_absolute) {
        for_each_tile(bins, [&](int tile) { blend(tile, with_planes, with_absolute); });
    };
    if (planes && absolute) run(std::true_type(), std::true_type());
    if (planes && !absolute) run(std::true_type(), std::false_type());
    if (!planes && absolute) run(std::false_type(), std::true_type());
    if (!planes && !absolute) run(std::false_type(), std::false_type());
}

}  // namespace milo
