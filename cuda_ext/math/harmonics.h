// SPDX-License-Identifier: Apache-2.0
// Spherical harmonics under rotations and reflections, exactly.  spec: extraction_evaluation_editing.md 3.7.5
//
// A function of degree l is f(d) = T(d, ..., d) with a symmetric, traceless tensor T of rank l, and f(Q^T d) is that of T
// with Q applied to each of its indices.
#pragma once
#include "matrix.h"

namespace milo {

// The coefficients c[0], c[3], ... of one channel of f'(d) = f(Q^T d), in the basis of sh.h without the constant.
template <class T>
MILO_HD void turn_degree_1(const Mat3<T>& Q, const T* c, T* out) {
    const Vec3<T> f = Q * Vec3<T>{-c[6], -c[0], c[3]};
    out[0] = -f.y;
    out[3] = f.z;
    out[6] = -f.x;
}

// Each coefficient is divided by the constant of its function once, and multiplied again: of constants only ratios count.
template <class T>
MILO_HD void turn_degree_2(const Mat3<T>& Q, const T* c, T* out) {
    constexpr T kMixed = T(1.0925484305920792 / 2), kPolar = T(0.31539156525252005), kEven = T(0.5462742152960396);
    const T xy = kMixed * c[0], yz = -kMixed * c[3], xz = -kMixed * c[9], polar = kPolar * c[6], even = kEven * c[12];
    const Mat3<T> f = {{even - polar, xy, xz}, {xy, -even - polar, yz}, {xz, yz, T(2) * polar}};
    const Mat3<T> half = Q * f;
    const T new_xx = dot(half.r0, Q.r0), new_yy = dot(half.r1, Q.r1);
    out[0] = (T(1) / kMixed) * dot(half.r0, Q.r1);
    out[3] = -(T(1) / kMixed) * dot(half.r1, Q.r2);
    out[6] = (T(0.5) / kPolar) * dot(half.r2, Q.r2);
    out[9] = -(T(1) / kMixed) * dot(half.r0, Q.r2);
    out[12] = (T(0.5) / kEven) * (new_xx - new_yy);
}

template <class T>
MILO_HD void turn_degree_3(const Mat3<T>& Q, const T* c, T* out) {
    constexpr T k0 = T(-0.5900435899266435), k1 = T(2.890611442640554), k2 = T(-0.4570457994644658);
    constexpr T k3 = T(0.3731763325901154), k4 = T(1.445305721320277), third = T(1) / T(3);
    const T p0 = k0 * c[0], p1 = k1 * c[3], p2 = k2 * c[6], p3 = k3 * c[9], p4 = k2 * c[12], p5 = k4 * c[15];
    const T p6 = k0 * c[18];
    const T xxy = p0 - third * p2, xxz = third * p5 - p3, xyy = -third * p4 - p6, xyz = p1 / T(6);
    const T xzz = T(4) * third * p4, yyz = -third * p5 - p3, yzz = T(4) * third * p2;
    const Mat3<T> fx = {{p6 - p4, xxy, xxz}, {xxy, xyy, xyz}, {xxz, xyz, xzz}};   // T(x, ., .) and so on
    const Mat3<T> fy = {{xxy, xyy, xyz}, {xyy, -p0 - p2, yyz}, {xyz, yyz, yzz}};
    const Mat3<T> fz = {{xxz, xyz, xzz}, {xyz, yyz, yzz}, {xzz, yzz, T(2) * p3}};
    // T(a, b, .) for rows a and b of Q.
    const auto along = [&](Vec3<T> a, Vec3<T> b) { return a.x * (fx * b) + a.y * (fy * b) + a.z * (fz * b); };
    const Vec3<T> in_xx = along(Q.r0, Q.r0), in_yz = along(Q.r1, Q.r2), in_zz = along(Q.r2, Q.r2);
    const Vec3<T> in_yy = along(Q.r1, Q.r1);
    const T new_p3 = T(0.5) * dot(in_zz, Q.r2), new_p4 = T(0.75) * dot(in_zz, Q.r0);
    const T new_p2 = T(0.75) * dot(in_zz, Q.r1);
    out[0] = (T(-1) / k0) * (dot(in_yy, Q.r1) + new_p2);
    out[3] = (T(6) / k1) * dot(in_yz, Q.r0);
    out[6] = (T(1) / k2) * new_p2;
    out[9] = (T(1) / k3) * new_p3;
    out[12] = (T(1) / k2) * new_p4;
    out[15] = (T(1.5) / k4) * (dot(in_xx, Q.r2) - dot(in_yy, Q.r2));
    out[18] = (T(1) / k0) * (dot(in_xx, Q.r0) + new_p4);
}

// [terms][3] coefficients; those beyond the degree are copied.
template <class T>
MILO_HD void turn_harmonics(int degree, int terms, const Mat3<T>& Q, const T* coefficients, T* out) {
    for (int channel = 0; channel < 3; ++channel) {
        const T* c = coefficients + channel;
        T* to = out + channel;
        if (degree > 0) turn_degree_1(Q, c, to);
        if (degree > 1) turn_degree_2(Q, c + 9, to + 9);
        if (degree > 2) turn_degree_3(Q, c + 24, to + 24);
    }
    for (int k = 3 * ((degree + 1) * (degree + 1) - 1); k < 3 * terms; ++k) out[k] = coefficients[k];
}

}  // namespace milo
