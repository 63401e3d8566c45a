// SPDX-License-Identifier: Apache-2.0
// A Gaussian as GOF sees it: as opaque as at its densest point along the ray.  spec: rasterization.md 3
//
// Stable form.  A linear map makes the Gaussian a unit sphere and keeps its lines of sight straight: the mean goes to
// `white`, seen from the origin, and a ray that passes the mean's ray at (dx, dy) pixels goes through white + (u, v, 0),
// (u, v) linear in (dx, dy).  The distance of that ray from the mean is the exponent: all sums of squares, no
// differences of large numbers however thin the Gaussian.
#pragma once
#include "splat_backward.h"

namespace milo {

constexpr double kGofVariance = 1e-7;       // added to the variances, world units^2
constexpr double kGofNormalFloor = 1e-7;    // added to the squared length of the normals

template <class T>
struct alignas(16 * sizeof(T)) GofSplat {
    Vec2<T> mean;        // pixels
    T ux, uy, vy;        // (u, v) = (ux dx + uy dy, vy dy)
    T log_opacity;       // log2
    Vec3<T> white;       // the mean
    T depth;             // z of the mean in view space
    Vec3<T> colour;
    Vec3<T> conic;       // of the approximate 2D falloff: for the screen-space statistic alone
};

// The map: whitened view coordinates = diag(stretch) A^T x, turned so that it is upper triangular in view coordinates.
template <class T>
struct Whitening {
    Vec3<T> stretch;      // inverse standard deviations along the axes
    Mat3<T> turn;         // columns: the turned axes in the Gaussian's own frame
    T xx, xy, yy;         // upper triangle but for the last column
    Vec3<T> mean;
};

// A: axes in the view frame (columns), s: standard deviations, p: mean in the view frame.
template <class T>
MILO_HD Whitening<T> whiten(const Mat3<T>& A, Vec3<T> s, Vec3<T> p) {
    Whitening<T> w;
    const T floor = kGofVariance;
    const Vec3<T> d = {T(1) / T(sqrt(s.x * s.x + floor)), T(1) / T(sqrt(s.y * s.y + floor)),
                       T(1) / T(sqrt(s.z * s.z + floor))};
    w.stretch = d;
    const Vec3<T> x = d * A.r0, y = d * A.r1, along = d * transposed_times(A, p);
    const Vec3<T> area = Vec3<T>{d.y * d.z, d.x * d.z, d.x * d.y} * A.r2;   // x cross y, without the cancellation
    const T area_length = length(area);
    w.xx = length(x);
    const Vec3<T> q0 = (T(1) / w.xx) * x, q2 = (T(1) / area_length) * area, q1 = cross(q2, q0);
    w.xy = dot(q0, y);
    w.yy = area_length / w.xx;
    w.mean = {dot(q0, along), dot(q1, along), d.x * d.y * d.z * p.z / area_length};
    w.turn = {{q0.x, q1.x, q2.x}, {q0.y, q1.y, q2.y}, {q0.z, q1.z, q2.z}};
    return w;
}

template <class T>
MILO_HD GofSplat<T> make_gof_splat(const Camera<T>& camera, Vec3<T> camera_centre, const Gaussians<T>& g, long long i,
                                   const Placement<T>& at) {
    const Projection<T>& r = at.projection;
    const Whitening<T> w = whiten(r.axes, r.s, r.p);
    GofSplat<T> splat;
    splat.mean = {camera.fx * r.p.x / r.p.z + camera.cx - T(0.5), camera.fy * r.p.y / r.p.z + camera.cy - T(0.5)};
    splat.ux = -r.p.z * w.xx / camera.fx;
    splat.uy = -r.p.z * w.xy / camera.fy;
    splat.vy = -r.p.z * w.yy / camera.fy;
    splat.log_opacity = T(log2(at.opacity));
    splat.white = w.mean;
    splat.depth = r.p.z;
    if (g.sh_dc) splat.colour = clamped_colour(seen_colour(g, i, camera_centre).unclamped);
    splat.conic = {r.footprint.conic_a, r.footprint.conic_b, r.footprint.conic_c};
    return splat;
}

// Where it can be seen, exactly: alpha >= 1/255 is a quadratic inequality in the pixel.  Everywhere (the tile rectangle
// alone holds it) when the level set reaches the camera's plane; nowhere when numbers cannot hold it.
template <class T>
MILO_HD Outline<T> make_gof_outline(const GofSplat<T>& splat, T opacity, T slack) {
    const T tau = visible_square(opacity), wz2 = splat.white.z * splat.white.z;
    const T square = dot(splat.white, splat.white);
    if (!(wz2 > T(0) && square - square == T(0))) return empty_outline<T>();
    const T beyond = wz2 - tau;
    if (!(beyond > T(0.01) * wz2)) return boundless_outline(slack);
    // In (u, v): squared radius tau, variances k (1 + white white^T/beyond), centre (tau/beyond) white; here in pixels.
    const T k = wz2 / beyond, x = splat.white.x, y = splat.white.y;
    const T iu = T(1) / splat.ux, iv = T(1) / splat.vy, shear = splat.uy * iv, sheared_x = x - shear * y;
    const T xx = k * (T(1) + shear * shear + sheared_x * sheared_x / beyond) * iu * iu;
    const T xy = k * (sheared_x * y / beyond - shear) * iu * iv;
    const T yy = k * (T(1) + y * y / beyond) * iv * iv;
    const T det = k * k * (T(1) + (x * x + y * y) / beyond) * (iu * iu * iv * iv);
    const Vec2<T> centre = {(tau / beyond) * sheared_x * iu, (tau / beyond) * y * iv};
    return {splat.mean.x - centre.x, splat.mean.y - centre.y, slack, make_slab(xx, xy, yy, det, tau),
            make_slab(yy, xy, xx, det, tau)};
}

// A ray past a Gaussian.
template <class V>
struct GofRay {
    V u, v, x, y;     // offset of the ray from the mean's, and where it goes through the mean's plane
    V square;         // of the distance of that place
    V inverse;        // 1 / square
    V along;          // 1: as far as the mean; depth of the peak / depth of the mean
    V exponent2;      // twice the exponent
};

// (dx, dy): mean - pixel.
template <class V, class T>
MILO_HD GofRay<V> gof_ray(const GofSplat<T>& splat, V dx, V dy) {
    GofRay<V> ray;
    ray.u = V(splat.ux) * dx + V(splat.uy) * dy;
    ray.v = V(splat.vy) * dy;
    ray.x = V(splat.white.x) + ray.u;
    ray.y = V(splat.white.y) + ray.v;
    const T z2 = splat.white.z * splat.white.z;
    ray.square = ray.x * ray.x + ray.y * ray.y + V(z2);
    ray.inverse = reciprocal(ray.square);
    const V across = V(splat.white.x) * ray.v - V(splat.white.y) * ray.u;
    ray.along = (V(splat.white.x) * ray.x + V(splat.white.y) * ray.y + V(z2)) * ray.inverse;
    ray.exponent2 = (V(z2) * (ray.u * ray.u + ray.v * ray.v) + across * across) * ray.inverse;
    return ray;
}

constexpr double kHidden = -1000;   // log2 of an opacity that nobody sees

// log2 of opacity times falloff; hidden where the peak is not beyond the near plane.
template <class V, class T>
MILO_HD V gof_power(const GofSplat<T>& splat, const GofRay<V>& ray, T near_plane) {
    const V power = V(splat.log_opacity) - V(T(0.5 / kLn2)) * ray.exponent2;
    return select(V(splat.depth) * ray.along > V(near_plane), power, V(T(kHidden)));
}

// The normal a pixel sees, towards the camera.  `length` is not quite 1, by the floor.
template <class V>
struct GofNormal {
    V x, y, z, inverse;   // normal = -inverse * (metric times ray, up to a factor)
};

// (X, Y): slopes of the ray.
template <class V, class T>
MILO_HD GofNormal<V> gof_normal(const Camera<T>& camera, const GofSplat<T>& splat, const GofRay<V>& ray, V X, V Y) {
    const V x = V(-camera.fx * splat.ux) * ray.x;
    const V y = V(-camera.fy * splat.uy) * ray.x + V(-camera.fy * splat.vy) * ray.y;
    const V z = ray.square - x * X - y * Y;
    const T depth2 = splat.depth * splat.depth;
    const V inverse = inverse_root(x * x + y * y + z * z + V(T(kGofNormalFloor) * depth2 * depth2));
    return {-inverse * x, -inverse * y, -inverse * z, inverse};
}

// Sums over pixels that a Gaussian sends backward, beside those of the colour, kSumQ, kSumQx, kSumQy and kSumAbs.
enum GofSum {
    kGofMean = 6,     // 3: of the whitened mean
    kGofMetric = 10   // 6: of the inverse covariance, whitened: xx, xy, xz, yy, yz, zz
};

// What one pixel adds to them.
template <class V>
struct GofPixelGrad {
    V mean[3], metric[6];
};

// q = falloff * opacity * d loss / d alpha.  g_depth = d loss / d depth of the peak.  normal: g_normal is the gradient
// of the normal, weight included.
template <bool normals, class V, class T>
MILO_HD GofPixelGrad<V> gof_backward(const Camera<T>& camera, const GofSplat<T>& splat, const GofRay<V>& ray, V q,
                                     V g_depth, const GofNormal<V>& normal, const V (&g_normal)[3], V X, V Y) {
    const V wz = V(splat.white.z), rest = (ray.u * ray.x + ray.v * ray.y) * ray.inverse;   // 1 - along
    const V ex = ray.along * ray.u - rest * V(splat.white.x), ey = ray.along * ray.v - rest * V(splat.white.y);
    const V ez = -rest * wz;   // from the mean to the peak
    const V turn = g_depth * V(splat.depth) * ray.inverse;
    GofPixelGrad<V> g;
    g.mean[0] = q * ex + turn * ray.x;
    g.mean[1] = q * ey + turn * ray.y;
    g.mean[2] = q * ez + turn * wz;
    // -q/2 e e^T + sym(w y^T), w = (x, y, wz)
    V yx = -turn * ex, yy = -turn * ey, yz = -turn * ez;
    if constexpr (normals) {
        const V along = normal.x * g_normal[0] + normal.y * g_normal[1] + normal.z * g_normal[2];
        const V hz = normal.inverse * (normal.z * along - g_normal[2]);
        const V hx = normal.inverse * (normal.x * along - g_normal[0]) - hz * X;
        const V hy = normal.inverse * (normal.y * along - g_normal[1]) - hz * Y;
        yx += V(-camera.fx * splat.ux) * hx + V(-camera.fy * splat.uy) * hy + hz * ray.x;
        yy += V(-camera.fy * splat.vy) * hy + hz * ray.y;
        yz += hz * wz;
    }
    const V half = V(T(0.5)), qe = V(T(-0.5)) * q;
    g.metric[0] = qe * ex * ex + ray.x * yx;
    g.metric[1] = qe * ex * ey + half * (ray.x * yy + ray.y * yx);
    g.metric[2] = qe * ex * ez + half * (ray.x * yz + wz * yx);
    g.metric[3] = qe * ey * ey + ray.y * yy;
    g.metric[4] = qe * ey * ez + half * (ray.y * yz + wz * yy);
    g.metric[5] = qe * ez * ez + wz * yz;
    return g;
}

// d loss / d mean2D of one pixel over -q, by the approximate falloff, in normalised device units: 1-norm.
template <class V, class T>
MILO_HD V gof_pull(const Camera<T>& camera, const GofSplat<T>& splat, V dx, V dy) {
    const T half_width = T(0.5) * T(camera.width), half_height = T(0.5) * T(camera.height);
    return V(half_width) * magnitude(V(splat.conic.x) * dx + V(splat.conic.y) * dy) +
           V(half_height) * magnitude(V(splat.conic.y) * dx + V(splat.conic.z) * dy);
}

// Writes all gradients of a Gaussian that was drawn.  The splat's 2D covariance passes no gradient on, nor does the
// compensation of the opacity (quirk Q6).
template <class T>
MILO_HD void gof_gaussian_backward(const Camera<T>& camera, Vec3<T> camera_centre, const Gaussians<T>& g, T kappa,
                                   long long i, const T* sum, const GaussianGrads<T>& out) {
    const Projection<T> r = project_gaussian(camera, g, i, camera.to_view(vec3_at(g.means, i)), kappa);
    const Whitening<T> w = whiten(r.axes, r.s, r.p);
    const T* m = sum + kGofMetric;
    // In the Gaussian's own frame.
    const Mat3<T> metric = w.turn * Mat3<T>{{m[0], m[1], m[2]}, {m[1], m[3], m[4]}, {m[2], m[4], m[5]}} *
                           transposed(w.turn);
    const Vec3<T> g_mean = w.turn * vec3_at(sum + kGofMean, 0), d = w.stretch;
    const Vec3<T> g_scale = {T(-2) * r.s.x * d.x * d.x * metric.r0.x, T(-2) * r.s.y * d.y * d.y * metric.r1.y,
                             T(-2) * r.s.z * d.z * d.z * metric.r2.z};
    const Mat3<T> ratio = {{metric.r0.x, metric.r0.y * (d.y / d.x), metric.r0.z * (d.z / d.x)},
                           {metric.r1.x * (d.x / d.y), metric.r1.y, metric.r1.z * (d.z / d.y)},
                           {metric.r2.x * (d.x / d.z), metric.r2.y * (d.y / d.z), metric.r2.z}};
    const Mat3<T> half_axes = r.axes * ratio;
    const Mat3<T> g_axes = {T(2) * half_axes.r0, T(2) * half_axes.r1, T(2) * half_axes.r2};
    const Vec3<T> g_p = r.axes * (d * g_mean);

    const Vec3<T> g_offset = colour_backward(g, i, camera_centre, sum, out);
    write3(out.means, i, camera.to_world_direction(g_p) + g_offset);
    write3(out.scales, i, g_scale);
    write_quaternion(camera, g, i, g_axes, out);
    out.opacities[i] = sum[kSumQ] / (g.opacities[i] * r.footprint.compensation);
    if (!out.screen) return;
    const Footprint<T>& f = r.footprint;
    write3(out.screen, i,
           {T(-0.5) * T(camera.width) * (f.conic_a * sum[kSumQx] + f.conic_b * sum[kSumQy]),
            T(-0.5) * T(camera.height) * (f.conic_b * sum[kSumQx] + f.conic_c * sum[kSumQy]), sum[kSumAbs]});
}

enum class Raster { training, geometry, gof };

template <Raster raster, class T>
MILO_HD void backward_to_gaussian(const Camera<T>& camera, Vec3<T> camera_centre, const Gaussians<T>& g, T kappa,
                                  long long i, const T* sum, const GaussianGrads<T>& out) {
    if constexpr (raster == Raster::gof) {
        gof_gaussian_backward(camera, camera_centre, g, kappa, i, sum, out);
    } else {
        gaussian_backward<raster == Raster::geometry>(camera, camera_centre, g, kappa, i, sum, out);
    }
}

}  // namespace milo
