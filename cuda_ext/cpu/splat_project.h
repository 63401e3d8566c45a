// SPDX-License-Identifier: Apache-2.0
// From Gaussians in the world to footprints on the image, one Gaussian at a time, and the way back for gradients.
// spec: rasterization.md 1.4 - 1.8, 1.12, 1.13, 2.1, 2.4
#pragma once
#include "binning.h"
#include "blend.h"
#include "buffer.h"
#include "camera.h"
#include "covariance.h"
#include "rade.h"
#include "sh.h"

namespace milo {

template <class T>
struct Gaussians {
    int64_t count;
    const T *means, *scales, *quats, *opacities;   // [N,3] [N,3] [N,4] [N]
    const T *sh_dc, *sh_rest;                      // [N,3] [N,rest,3]; null where no colour is asked for
    int rest, sh_degree;
    const bool* cull;                              // [N] or null: true = ignore
};

// What a pixel needs to know of a Gaussian: one cache line in float.
template <class T>
struct alignas(16 * sizeof(T)) Splat {
    Vec2<T> mean;
    Falloff<T> falloff;
    Vec3<T> colour;
    // geometry raster only
    T distance;                // of the mean from the camera
    Vec2<T> slope;             // of the distance, per pixel
    Vec3<T> normal;
};

// Everything between a Gaussian's parameters and its splat; computed again, not stored, for the backward pass.
template <class T>
struct Projection {
    Vec3<T> p, s;
    ClampedMean<T> clamped;
    Mat3<T> axes;              // columns, in the view frame
    Jacobian<T> jacobian;
    Footprint<T> footprint;
};

template <class T>
Vec3<T> vec3_at(const T* values, int64_t i) { return {values[3 * i], values[3 * i + 1], values[3 * i + 2]}; }
template <class T>
Quat<T> quat_at(const T* values, int64_t i) {
    return {values[4 * i], values[4 * i + 1], values[4 * i + 2], values[4 * i + 3]};
}

template <class T>
Projection<T> project_gaussian(const Camera<T>& camera, const Gaussians<T>& g, int64_t i, Vec3<T> p, T kappa) {
    Projection<T> r;
    r.p = p;
    r.s = vec3_at(g.scales, i);
    r.clamped = clamp_mean(camera, p);
    r.axes = camera.R * rotation(normalised(quat_at(g.quats, i)));
    r.jacobian = jacobian(camera, r.clamped.t);
    r.footprint = footprint(r.jacobian, r.axes, r.s, kappa);
    return r;
}

template <class T>
struct SeenColour {
    Vec3<T> direction, unclamped;
    T distance;
};

template <class T>
SeenColour<T> seen_colour(const Gaussians<T>& g, int64_t i, Vec3<T> camera_centre) {
    SeenColour<T> c;
    const Vec3<T> offset = vec3_at(g.means, i) - camera_centre;
    c.distance = length(offset);
    c.direction = (T(1) / c.distance) * offset;
    c.unclamped = sh_colour(g.sh_degree, c.direction, g.sh_dc + 3 * i, g.sh_rest + 3 * int64_t(g.rest) * i);
    return c;
}

template <class T>
Vec3<T> clamped_colour(Vec3<T> c) { return {larger(c.x, T(0)), larger(c.y, T(0)), larger(c.z, T(0))}; }

// Gaussians placed on the tiles of an image.  Entries of `placed` and `splats` are defined where touched is not 0.
template <class T>
struct SplatScene {
    SplatScene(const Camera<T>& view, int64_t n) : camera(view), placed(n), splats(n) {}

    Camera<T> camera;
    Placements<T> placed;
    Buffer<Splat<T>> splats;
    Binning bins;
};

constexpr double kTrainLowPass = 0.3;   // pixels^2

// radii: [N] pixels, 0 for Gaussians that are not seen.  Colours are left undefined where gaussians.sh_dc is null.
template <class T>
SplatScene<T> place_for_geometry(const Camera<T>& camera, T kernel_size, T near_plane, const Gaussians<T>& gaussians,
                                 int32_t* radii);
template <class T>
SplatScene<T> place_for_training(const Camera<T>& camera, T near_plane, const Gaussians<T>& gaussians, int32_t* radii);

// Sums over the pixels of a tile that a Gaussian sends backward.  q = falloff * opacity * d loss / d alpha,
// (dx, dy) = mean - pixel, g_d = d loss / d distance at the pixel.
enum Sum {
    kSumColour = 0,      // 3: weight * colour gradient
    kSumQ = 3,           // q
    kSumQx, kSumQy,      // q dx, q dy
    kSumQxx, kSumQxy, kSumQyy,
    kSumAbs = 9,         // |d loss / d mean2D|, 1-norm in normalised device units, alpha path only
    kSumD = 10,          // g_d, g_d dx, g_d dy
    kSumDx, kSumDy,
    kSumNormal = 13,     // 3
    kSums = 16
};

template <class T>
struct GaussianGrads {
    T *means, *scales, *quats, *opacities, *sh_dc, *sh_rest;
    T* screen;   // [N,3] of the projected mean, in normalised device units; null: not wanted
};

// sums: [instances][kSums] in tile order.  geometry: with the ray plane and the opacity compensation.
// Writes every element of `out`, zeros for Gaussians that drew nothing.
template <bool geometry, class T>
void gather_gradients(const Camera<T>& camera, const Gaussians<T>& g, T kappa, const Binning& bins, const T* sums,
                      const GaussianGrads<T>& out);

}  // namespace milo
