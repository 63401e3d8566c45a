// SPDX-License-Identifier: Apache-2.0
// How a triangle is deformed, and what the triangles around a vertex make of it.
// spec: extraction_evaluation_editing.md 3.7.3
#pragma once
#include "linear_map.h"

namespace milo {

enum NormalStretch { kUniform, kThickness, kVolume };

template <class T>
struct TriangleGradient {
    Mat3<T> F;
    bool collapsed;
};

// y: corners as they are now; duals d1, d2 and the normal n, and the area |c| of the triangle at rest; flip: -1 where the
// object was mirrored without its faces having been turned.
template <class T>
MILO_HD TriangleGradient<T> triangle_gradient(const Vec3<T> y[3], Vec3<T> d1, Vec3<T> d2, Vec3<T> n, T rest_area, T flip,
                                              int normal_stretch) {
    constexpr T kCollapsed = T(1e-6), kTiny = T(1e-30);
    const Vec3<T> e1 = y[1] - y[0], e2 = y[2] - y[0], c = cross(e1, e2);
    const T area = length(c), ratio = area / larger(rest_area, kTiny);
    const T k = normal_stretch == kUniform     ? T(sqrt(ratio))
                : normal_stretch == kThickness ? T(1)
                                               : clamped(T(1) / larger(ratio, kTiny), T(0.25), T(4));
    Mat3<T> F = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
    add_outer(F, e1, d1);
    add_outer(F, e2, d2);
    add_outer(F, (flip * k / larger(area, kTiny)) * c, n);
    return {F, area < kCollapsed * rest_area};
}

// A gradient as a rotation, a stretch and a sign.
template <class T>
struct Polar {
    Quat<T> rotation;
    Mat3<T> stretch;   // symmetric
    T sign;
};

template <class T>
MILO_HD Polar<T> polar(const Mat3<T>& F) {
    const T sign = determinant(F) < T(0) ? T(-1) : T(1);
    Decomposed<T> d = decompose(sign * F, T(1));
    const Mat3<T> R = transposed(composed(d, Vec3<T>{1, 1, 1}));
    const Vec3<T> columns[3] = {R.r0, R.r1, R.r2};
    for (int k = 0; k < 3; ++k) d.u[k] = d.v[k];
    return {quaternion(columns), composed(d, d.s), sign};
}

template <class T>
MILO_HD T dot(Quat<T> a, Quat<T> b) { return a.w * b.w + a.x * b.x + a.y * b.y + a.z * b.z; }

template <class T>
MILO_HD T squared_norm(const Mat3<T>& m) { return dot(m.r0, m.r0) + dot(m.r1, m.r1) + dot(m.r2, m.r2); }

// The mean of the gradients around a vertex; total_weight is 0 where there is none.  Where they turn against each other a
// mean of matrices shrinks: rotations and stretches are blended apart there.
// incident: triangles at the vertex, `count` of them; gradients: [F, 3, 3]; weights: [F], 0 for those that do not count.
template <class T>
MILO_HD Mat3<T> vertex_gradient(const int* incident, int count, const T* gradients, const T* weights, T& total_weight) {
    constexpr T kFarApart = T(0.35);              // of |F|: what differs less does not turn apart by 60 degrees
    constexpr T kTurned = T(0.8660254037844386);  // cosine of 30 degrees: rotations turn farther from their mean
    const auto gradient = [&](int k) { return matrix_at(gradients + 9 * static_cast<long long>(incident[k])); };
    const auto add = [](Mat3<T>& sum, T weight, const Mat3<T>& m) {
        sum.r0 += weight * m.r0;
        sum.r1 += weight * m.r1;
        sum.r2 += weight * m.r2;
    };
    const Mat3<T> zero = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
    Mat3<T> mean = zero;
    T total = 0;
    for (int k = 0; k < count; ++k) {
        const T weight = weights[incident[k]];
        if (!(weight > T(0))) continue;
        total += weight;
        add(mean, weight, gradient(k));
    }
    total_weight = total;
    if (!(total > T(0))) return zero;
    mean = (T(1) / total) * mean;

    const T most = kFarApart * kFarApart * squared_norm(mean);
    bool apart = false;
    for (int k = 0; k < count && !apart; ++k) {
        Mat3<T> off = gradient(k);
        add(off, T(-1), mean);
        apart = weights[incident[k]] > T(0) && squared_norm(off) > most;
    }
    if (!apart) return mean;

    Quat<T> leader = {0, 0, 0, 0}, rotations = leader;   // any one: signs are aligned with it
    Mat3<T> stretches = zero;
    T signs = 0;
    for (int k = 0; k < count; ++k) {
        const T share = weights[incident[k]] / total;
        if (!(share > T(0))) continue;
        const Polar<T> part = polar(gradient(k));
        const Quat<T> q = part.rotation;
        if (dot(leader, leader) == T(0)) leader = q;
        const T aligned = dot(q, leader) < T(0) ? -share : share;
        rotations = {rotations.w + aligned * q.w, rotations.x + aligned * q.x, rotations.y + aligned * q.y,
                     rotations.z + aligned * q.z};
        add(stretches, share, part.stretch);
        signs += share * part.sign;
    }
    rotations = normalised(rotations);
    bool turned = false;
    for (int k = 0; k < count && !turned; ++k) {
        if (!(weights[incident[k]] > T(0))) continue;
        const T cosine_half = dot(polar(gradient(k)).rotation, rotations);
        turned = T(2) * cosine_half * cosine_half - T(1) < kTurned;
    }
    if (!turned) return mean;
    const T sign = signs > T(0) ? T(1) : signs < T(0) ? T(-1) : T(0);
    return sign * (rotation(rotations) * stretches);
}

}  // namespace milo
