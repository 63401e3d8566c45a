// SPDX-License-Identifier: Apache-2.0
// Backward pass per Gaussian: its sums over tiles are added in a fixed order, then carried back to its parameters.
#include <algorithm>

#include "lanes.h"
#include "splat_project.h"

namespace milo {
namespace {

template <class T>
void write3(T* to, int64_t i, Vec3<T> v) {
    to[3 * i] = v.x;
    to[3 * i + 1] = v.y;
    to[3 * i + 2] = v.z;
}

template <class T>
void write_zeros(const GaussianGrads<T>& out, int64_t i, int rest) {
    const Vec3<T> zero = {0, 0, 0};
    write3(out.means, i, zero);
    write3(out.scales, i, zero);
    write3(out.sh_dc, i, zero);
    if (out.screen) write3(out.screen, i, zero);
    std::fill_n(out.quats + 4 * i, 4, T(0));
    std::fill_n(out.sh_rest + 3 * int64_t(rest) * i, 3 * rest, T(0));
    out.opacities[i] = T(0);
}

template <bool geometry, class T>
void gaussian_backward(const Camera<T>& camera, Vec3<T> camera_centre, const Gaussians<T>& g, T kappa, int64_t i,
                       const T* sum, const GaussianGrads<T>& out) {
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
    if constexpr (geometry) {
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

    const SeenColour<T> seen = seen_colour(g, i, camera_centre);
    const T* rest = g.sh_rest + 3 * int64_t(g.rest) * i;
    const Vec3<T> g_colour = {seen.unclamped.x < T(0) ? T(0) : sum[0], seen.unclamped.y < T(0) ? T(0) : sum[1],
                              seen.unclamped.z < T(0) ? T(0) : sum[2]};
    T* g_rest = out.sh_rest + 3 * int64_t(g.rest) * i;
    const Vec3<T> g_offset = sh_colour_backward(g.sh_degree, seen.direction, seen.distance, rest, g_colour,
                                                out.sh_dc + 3 * i, g_rest);
    const int active = (g.sh_degree + 1) * (g.sh_degree + 1) - 1;
    std::fill(g_rest + 3 * active, g_rest + 3 * int64_t(g.rest), T(0));

    write3(out.means, i, camera.to_world_direction(g_p) + g_offset);
    write3(out.scales, i, g_scale);
    // axes = R U, so g[U] = R^T g[axes]
    const Quat<T> g_quat = rotation_backward(quat_at(g.quats, i), transposed(camera.R) * g_axes);
    T* quat = out.quats + 4 * i;
    quat[0] = g_quat.w, quat[1] = g_quat.x, quat[2] = g_quat.y, quat[3] = g_quat.z;
    out.opacities[i] = g_compensated * compensation;
    if (!out.screen) return;
    write3(out.screen, i, {T(0.5) * T(camera.width) * g_mean2d.x, T(0.5) * T(camera.height) * g_mean2d.y,
                           geometry ? sum[kSumAbs] : T(0)});
}

}  // namespace

template <bool geometry, class T>
void gather_gradients(const Camera<T>& camera, const Gaussians<T>& g, T kappa, const Binning& bins, const T* sums,
                      const GaussianGrads<T>& out) {
    const Vec3<T> camera_centre = camera.centre();
    constexpr int kAhead = 16;   // the sums of a Gaussian lie far apart
    const int32_t* end = bins.instance_of.data() + bins.instances();
    for_each_sum(bins, g.count, [&](int64_t i, const int32_t* first, const int32_t* last) {
        if (first == last) return write_zeros(out, i, g.rest);
        T total[kSums] = {};
        for (; first != last; ++first) {
            MILO_PREFETCH(sums + int64_t(kSums) * first[end - first > kAhead ? kAhead : 0]);
            const T* sum = sums + int64_t(kSums) * *first;
            for (int k = 0; k < kSums; ++k) total[k] += sum[k];
        }
        gaussian_backward<geometry>(camera, camera_centre, g, kappa, i, total, out);
    });
}

#define MILO_GATHER(geometry, T)                                                                                    \
    template void gather_gradients<geometry>(const Camera<T>&, const Gaussians<T>&, T, const Binning&, const T*, \
                                             const GaussianGrads<T>&);
MILO_GATHER(true, float)
MILO_GATHER(true, double)
MILO_GATHER(false, float)
MILO_GATHER(false, double)

}  // namespace milo
