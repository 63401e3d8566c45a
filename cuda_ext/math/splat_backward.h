// SPDX-License-Identifier: Apache-2.0
// From what the pixels send back to a splat to the gradients of its Gaussian.  spec: rasterization.md 1.7, 1.11 - 1.13,
// 2.3, 2.4
#pragma once
#include "splat.h"

namespace milo {

// Sums over pixels that a Gaussian sends backward.  q = falloff * opacity * d loss / d alpha, (dx, dy) = mean - pixel,
// g_d = d loss / d distance at the pixel.
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

// d power / d mean2D = -(A u, B u + v dy) with u the sheared dx; here in normalised device units over |q|.
template <class T>
struct MeanPull {
    T x, y, v;

    template <class V>
    MILO_HD V size(V u, V dy) const { return V(x) * magnitude(u) + magnitude(V(y) * u + V(v) * dy); }
};

template <class T>
MILO_HD MeanPull<T> make_mean_pull(const Camera<T>& camera, const Falloff<T>& f) {
    const T half_width = T(0.5) * T(camera.width), half_height = T(0.5) * T(camera.height);
    const T conic_a = T(2 * kLn2) * f.half_a;
    return {half_width * conic_a, half_height * conic_a * f.shear, half_height * T(2 * kLn2) * f.half_v};
}

template <class T>
struct GaussianGrads {
    T *means, *scales, *quats, *opacities, *sh_dc, *sh_rest;
    T* screen;   // [N,3] of the projected mean, in normalised device units; null: not wanted
};

template <class T>
MILO_HD void write3(T* to, long long i, Vec3<T> v) {
    to[3 * i] = v.x;
    to[3 * i + 1] = v.y;
    to[3 * i + 2] = v.z;
}

template <class T>
MILO_HD void write_no_gradients(const GaussianGrads<T>& out, long long i, int rest) {
    const Vec3<T> zero = {0, 0, 0};
    write3(out.means, i, zero);
    write3(out.scales, i, zero);
    write3(out.sh_dc, i, zero);
    if (out.screen) write3(out.screen, i, zero);
    for (int k = 0; k < 4; ++k) out.quats[4 * i + k] = T(0);
    for (int k = 0; k < 3 * rest; ++k) out.sh_rest[3LL * rest * i + k] = T(0);
    out.opacities[i] = T(0);
}

// Writes the gradients of the spherical harmonics; returns that of the mean through the direction of sight.
template <class T>
MILO_HD Vec3<T> colour_backward(const Gaussians<T>& g, long long i, Vec3<T> camera_centre, const T* sum,
                                const GaussianGrads<T>& out) {
    const SeenColour<T> seen = seen_colour(g, i, camera_centre);
    const T* rest = g.sh_rest + 3LL * g.rest * i;
    const Vec3<T> g_colour = {seen.unclamped.x < T(0) ? T(0) : sum[0], seen.unclamped.y < T(0) ? T(0) : sum[1],
                              seen.unclamped.z < T(0) ? T(0) : sum[2]};
    T* g_rest = out.sh_rest + 3LL * g.rest * i;
    const Vec3<T> g_offset = sh_colour_backward(g.sh_degree, seen.direction, seen.distance, rest, g_colour,
                                                out.sh_dc + 3 * i, g_rest);
    const int active = (g.sh_degree + 1) * (g.sh_degree + 1) - 1;
    for (int k = 3 * active; k < 3 * g.rest; ++k) g_rest[k] = T(0);
    return g_offset;
}

// Axes in the view frame are R U, so g[U] = R^T g[axes].
template <class T>
MILO_HD void write_quaternion(const Camera<T>& camera, const Gaussians<T>& g, long long i, const Mat3<T>& g_axes,
                              const GaussianGrads<T>& out) {
    const Quat<T> g_quat = rotation_backward(quat_at(g.quats, i), transposed(camera.R) * g_axes);
    T* quat = out.quats + 4 * i;
    quat[0] = g_quat.w, quat[1] = g_quat.x, quat[2] = g_quat.y, quat[3] = g_quat.z;
}

// Writes all gradients of a Gaussian that was drawn.  geometry: with the ray plane and the opacity compensation.
template <bool geometry, class T>
MILO_HD void gaussian_backward(const Camera<T>& camera, Vec3<T> camera_centre, const Gaussians<T>& g, T kappa,
                               long long i, const T* sum, const GaussianGrads<T>& out) {
    const Vec3<T> mean = vec3_at(g.means, i);
    const Projection<T> r = project_gaussian(camera, g, i, camera.to_view(mean), kappa);
    const Footprint<T>& f = r.footprint;
    const T opacity = g.opacities[i], compensation = geometry ? f.compensation : T(1);

    Vec2<T> g_mean2d = {-(f.conic_a * sum[kSumQx] + f.conic_b * sum[kSumQy]),
                        -(f.conic_b * sum[kSumQx] + f.conic_c * sum[kSumQy])};
    const T g_compensated = sum[kSumQ] / (opacity * compensation);
    const FootprintGrad<T> g_footprint = {T(-0.5) * sum[kSumQxx], -sum[kSumQxy], T(-0.5) * sum[kSumQyy],
                                          geometry ? g_compensated * opacity : T(0)};
    Mat3<T> g_axes = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
    Vec3<T> g_scale = {0, 0, 0}, g_t = {0, 0, 0}, g_p = {0, 0, 0};
    if (geometry) {
        const RayPlane<T> plane = ray_plane(r.axes, r.s, r.clamped.t);
        const Vec2<T> g_slope = {sum[kSumDx] / camera.fx, sum[kSumDy] / camera.fy};
        const Vec3<T> g_normal = vec3_at(sum + kSumNormal, 0);
        ray_plane_backward(plane, r.axes, r.s, r.clamped.t, g_slope, g_normal, g_axes, g_scale, g_t);
        g_mean2d.x += sum[kSumD] * plane.slope.x / camera.fx;
        g_mean2d.y += sum[kSumD] * plane.slope.y / camera.fy;
        g_p += (sum[kSumD] / length(r.p)) * r.p;
    }
    footprint_backward(camera, r.clamped.t, r.jacobian, r.axes, r.s, kappa, f, g_footprint, g_axes, g_scale, g_t);
    if (!r.clamped.free_x) g_t.x = T(0);
    if (!r.clamped.free_y) g_t.y = T(0);
    g_p += g_t + project_backward(camera, r.p, g_mean2d);

    const Vec3<T> g_offset = colour_backward(g, i, camera_centre, sum, out);
    write3(out.means, i, camera.to_world_direction(g_p) + g_offset);
    write3(out.scales, i, g_scale);
    write_quaternion(camera, g, i, g_axes, out);
    out.opacities[i] = g_compensated * compensation;
    if (!out.screen) return;
    write3(out.screen, i, {T(0.5) * T(camera.width) * g_mean2d.x, T(0.5) * T(camera.height) * g_mean2d.y,
                           geometry ? sum[kSumAbs] : T(0)});
}

}  // namespace milo
