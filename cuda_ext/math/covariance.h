// SPDX-License-Identifier: Apache-2.0
// Rotation of a Gaussian and its covariance on the image plane, with gradients.  spec: rasterization.md 1.5 - 1.7
#pragma once
#include "camera.h"

namespace milo {

// Quaternion (w, x, y, z).
template <class T>
struct Quat {
    T w, x, y, z;
};

template <class T>
MILO_HD T norm_floored(Quat<T> q) {
    return larger(T(sqrt(q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z)), T(1e-12));
}

template <class T>
MILO_HD Quat<T> normalised(Quat<T> q) {
    const T n = T(1) / norm_floored(q);
    return {q.w * n, q.x * n, q.y * n, q.z * n};
}

// Columns are the axes of the Gaussian in the world.  q is unit.
template <class T>
MILO_HD Mat3<T> rotation(Quat<T> q) {
    const T one = 1, two = 2;
    return {{one - two * (q.y * q.y + q.z * q.z), two * (q.x * q.y - q.w * q.z), two * (q.x * q.z + q.w * q.y)},
            {two * (q.x * q.y + q.w * q.z), one - two * (q.x * q.x + q.z * q.z), two * (q.y * q.z - q.w * q.x)},
            {two * (q.x * q.z - q.w * q.y), two * (q.y * q.z + q.w * q.x), one - two * (q.x * q.x + q.y * q.y)}};
}

// Gradient of rotation(normalised(raw)) with respect to raw.
template <class T>
MILO_HD Quat<T> rotation_backward(Quat<T> raw, const Mat3<T>& g) {
    const Quat<T> q = normalised(raw);
    const T two = 2;
    const T a01 = g.r0.y, a02 = g.r0.z, a10 = g.r1.x, a12 = g.r1.z, a20 = g.r2.x, a21 = g.r2.y;
    const T a00 = g.r0.x, a11 = g.r1.y, a22 = g.r2.z;
    const Quat<T> d = {
        two * (q.z * (a10 - a01) + q.y * (a02 - a20) + q.x * (a21 - a12)),
        two * (q.y * (a01 + a10) + q.z * (a02 + a20) + q.w * (a21 - a12) - two * q.x * (a11 + a22)),
        two * (q.x * (a01 + a10) + q.z * (a12 + a21) + q.w * (a02 - a20) - two * q.y * (a00 + a22)),
        two * (q.x * (a02 + a20) + q.y * (a12 + a21) + q.w * (a10 - a01) - two * q.z * (a00 + a11))};
    const T norm = norm_floored(raw);
    const T radial = norm > T(1e-12) ? q.w * d.w + q.x * d.x + q.y * d.y + q.z * d.z : T(0);
    const T n = T(1) / norm;
    return {(d.w - radial * q.w) * n, (d.x - radial * q.x) * n, (d.y - radial * q.y) * n, (d.z - radial * q.z) * n};
}

// Jacobian of the pixel position at the clamped mean t: rows (fx/z, 0, -fx x/z^2) and (0, fy/z, -fy y/z^2).
template <class T>
struct Jacobian {
    Vec3<T> x, y;
};

template <class T>
MILO_HD Jacobian<T> jacobian(const Camera<T>& camera, Vec3<T> t) {
    const T iz = T(1) / t.z;
    return {{camera.fx * iz, T(0), -camera.fx * t.x * iz * iz}, {T(0), camera.fy * iz, -camera.fy * t.y * iz * iz}};
}

// 2D covariance [a b; b c] in pixels^2 with the low-pass kappa on its diagonal, its inverse and the opacity
// compensation.  valid is false for a degenerate footprint, which is dropped.
template <class T>
struct Footprint {
    T a, b, c, det;               // with the low-pass
    T conic_a, conic_b, conic_c;  // inverse; exponent = (A dx^2 + C dy^2)/2 + B dx dy
    T det0, det1, compensation;   // before and after the low-pass, floored
    bool valid;
    Vec3<T> mx, my;               // J A diag(s): the 2x3 factor of the covariance
};

constexpr double kDetFloor = 1e-6;

// A = R U: axes of the Gaussian in the view frame (columns).  s: standard deviations.
template <class T>
MILO_HD Footprint<T> footprint(const Jacobian<T>& J, const Mat3<T>& A, Vec3<T> s, T kappa) {
    Footprint<T> f;
    f.mx = transposed_times(A, J.x) * s;
    f.my = transposed_times(A, J.y) * s;
    const T a0 = dot(f.mx, f.mx), c0 = dot(f.my, f.my);
    const Vec3<T> area = cross(f.mx, f.my);   // |mx x my|^2 = a0 c0 - b^2, without the cancellation
    const T det0 = dot(area, area);
    f.b = dot(f.mx, f.my);
    f.a = a0 + kappa;
    f.c = c0 + kappa;
    f.det = det0 + kappa * (a0 + f.c);
    f.valid = f.det > T(0);
    const T inverse = T(1) / f.det;
    f.conic_a = f.c * inverse;
    f.conic_b = -f.b * inverse;
    f.conic_c = f.a * inverse;
    const T floor = T(kDetFloor);
    f.det0 = larger(det0, floor);
    f.det1 = larger(f.det, floor);
    f.compensation = det0 > floor && f.det > floor ? T(sqrt(f.det0 / (f.det1 + floor) + floor)) : T(0);
    return f;
}

// What reaches a footprint from the pixels.  gB is the full derivative of the off-diagonal B.
template <class T>
struct FootprintGrad {
    T conic_a, conic_b, conic_c;
    T compensation;   // d loss / d compensation
};

// Adds to the gradients of the view-space axes, the clamped mean and the scales.
template <class T>
MILO_HD void footprint_backward(const Camera<T>& camera, Vec3<T> t, const Jacobian<T>& J, const Mat3<T>& A, Vec3<T> s,
                                T kappa, const Footprint<T>& f, const FootprintGrad<T>& g, Mat3<T>& gA, Vec3<T>& gs,
                                Vec3<T>& gt) {
    // The reference's regulariser damps footprints far below a pixel; training relies on it (quirk Q3).
    const T k = T(1) / (f.det * f.det + T(1e-7));
    const T a = f.a, b = f.b, c = f.c;
    T ga = k * (-c * c * g.conic_a + b * c * g.conic_b - b * b * g.conic_c);
    T gc = k * (-a * a * g.conic_c + a * b * g.conic_b - b * b * g.conic_a);
    T gb = k * (T(2) * b * c * g.conic_a - (f.det + T(2) * b * b) * g.conic_b + T(2) * a * b * g.conic_c);
    if (f.compensation > T(0)) {
        const T q = g.compensation / (T(2) * f.compensation), d1 = f.det1 + T(kDetFloor);
        const T g0 = q / d1, g1 = -q * f.det0 / (d1 * d1);
        ga += g0 * (c - kappa) + g1 * c;
        gc += g0 * (a - kappa) + g1 * a;
        gb += T(-2) * b * (g0 + g1);
    }
    // [a b; b c] = M M^T: g[M] = [2 ga, gb; gb, 2 gc] M
    const Vec3<T> gmx = T(2) * ga * f.mx + gb * f.my;
    const Vec3<T> gmy = gb * f.mx + T(2) * gc * f.my;
    // M = J A diag(s)
    gs += transposed_times(A, J.x) * gmx + transposed_times(A, J.y) * gmy;
    add_outer(gA, J.x, gmx * s);
    add_outer(gA, J.y, gmy * s);
    const Vec3<T> gjx = A * (gmx * s), gjy = A * (gmy * s);
    const T iz = T(1) / t.z, x = camera.fx * iz * iz, y = camera.fy * iz * iz;
    gt.x -= x * gjx.z;
    gt.y -= y * gjy.z;
    gt.z += -x * gjx.x - y * gjy.y + T(2) * iz * (x * t.x * gjx.z + y * t.y * gjy.z);
}

}  // namespace milo
