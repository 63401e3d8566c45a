// SPDX-License-Identifier: Apache-2.0
// Colour from spherical harmonics up to degree 3, with gradients.  spec: rasterization.md 1.13
#pragma once
#include "vec.h"

namespace milo {

constexpr double kShDc = 0.28209479177387814;

// The basis functions 1..(degree+1)^2-1 at the unit direction (x, y, z); entry l-1 belongs to coefficient l.
template <class T>
MILO_HD void sh_basis(int degree, Vec3<T> d, T basis[15]) {
    const T x = d.x, y = d.y, z = d.z;
    if (degree < 1) return;
    basis[0] = T(-0.4886025119029199) * y;
    basis[1] = T(0.4886025119029199) * z;
    basis[2] = T(-0.4886025119029199) * x;
    if (degree < 2) return;
    const T xx = x * x, yy = y * y, zz = z * z;
    basis[3] = T(1.0925484305920792) * x * y;
    basis[4] = T(-1.0925484305920792) * y * z;
    basis[5] = T(0.31539156525252005) * (T(2) * zz - xx - yy);
    basis[6] = T(-1.0925484305920792) * x * z;
    basis[7] = T(0.5462742152960396) * (xx - yy);
    if (degree < 3) return;
    basis[8] = T(-0.5900435899266435) * y * (T(3) * xx - yy);
    basis[9] = T(2.890611442640554) * x * y * z;
    basis[10] = T(-0.4570457994644658) * y * (T(4) * zz - xx - yy);
    basis[11] = T(0.3731763325901154) * z * (T(2) * zz - T(3) * xx - T(3) * yy);
    basis[12] = T(-0.4570457994644658) * x * (T(4) * zz - xx - yy);
    basis[13] = T(1.445305721320277) * z * (xx - yy);
    basis[14] = T(-0.5900435899266435) * x * (xx - T(3) * yy);
}

// sum_l c[l-1] grad B_l: gradient with respect to the direction of a combination of the basis functions.
template <class T>
MILO_HD Vec3<T> sh_basis_backward(int degree, Vec3<T> d, const T c[15]) {
    const T x = d.x, y = d.y, z = d.z;
    Vec3<T> g = {0, 0, 0};
    if (degree < 1) return g;
    const T c1 = T(0.4886025119029199);
    g = {-c1 * c[2], -c1 * c[0], c1 * c[1]};
    if (degree < 2) return g;
    const T c2 = T(1.0925484305920792), c20 = T(0.31539156525252005), c22 = T(0.5462742152960396);
    g.x += c2 * (y * c[3] - z * c[6]) - T(2) * x * (c20 * c[5] - c22 * c[7]);
    g.y += c2 * (x * c[3] - z * c[4]) - T(2) * y * (c20 * c[5] + c22 * c[7]);
    g.z += c2 * (-y * c[4] - x * c[6]) + T(4) * z * c20 * c[5];
    if (degree < 3) return g;
    const T xx = x * x, yy = y * y, zz = z * z, xy = x * y, yz = y * z, xz = x * z;
    const T c33 = T(0.5900435899266435), c32 = T(2.890611442640554), c31 = T(0.4570457994644658);
    const T c30 = T(0.3731763325901154), c3p = T(1.445305721320277);
    g.x += -c33 * T(6) * xy * c[8] + c32 * yz * c[9] + c31 * T(2) * xy * c[10] - c30 * T(6) * xz * c[11] -
           c31 * (T(4) * zz - T(3) * xx - yy) * c[12] + c3p * T(2) * xz * c[13] - c33 * T(3) * (xx - yy) * c[14];
    g.y += -c33 * T(3) * (xx - yy) * c[8] + c32 * xz * c[9] - c31 * (T(4) * zz - xx - T(3) * yy) * c[10] -
           c30 * T(6) * yz * c[11] + c31 * T(2) * xy * c[12] - c3p * T(2) * yz * c[13] + c33 * T(6) * xy * c[14];
    g.z += c32 * xy * c[9] - c31 * T(8) * yz * c[10] + c30 * (T(6) * zz - T(3) * xx - T(3) * yy) * c[11] -
           c31 * T(8) * xz * c[12] + c3p * (xx - yy) * c[13];
    return g;
}

// Unclamped colour: 0.5 + dc and the higher terms.  dc: 3, rest: [(degree+1)^2 - 1][3].  The visible colour is
// max(0, this); a channel below 0 passes no gradient.
template <class T>
MILO_HD Vec3<T> sh_colour(int degree, Vec3<T> direction, const T* dc, const T* rest) {
    T basis[15];
    sh_basis(degree, direction, basis);
    Vec3<T> colour = {T(0.5) + T(kShDc) * dc[0], T(0.5) + T(kShDc) * dc[1], T(0.5) + T(kShDc) * dc[2]};
    const int terms = (degree + 1) * (degree + 1) - 1;
    for (int l = 0; l < terms; ++l) colour += basis[l] * Vec3<T>{rest[3 * l], rest[3 * l + 1], rest[3 * l + 2]};
    return colour;
}

// Writes (not adds) the gradients of dc and of the active rest coefficients; returns the gradient of the offset
// mean - camera centre = distance * direction.  g: gradient of the colour, already 0 in clamped channels.
template <class T>
MILO_HD Vec3<T> sh_colour_backward(int degree, Vec3<T> direction, T distance, const T* rest, Vec3<T> g, T* g_dc,
                                   T* g_rest) {
    g_dc[0] = T(kShDc) * g.x;
    g_dc[1] = T(kShDc) * g.y;
    g_dc[2] = T(kShDc) * g.z;
    if (degree < 1) return {0, 0, 0};
    T basis[15], along[15];
    sh_basis(degree, direction, basis);
    const int terms = (degree + 1) * (degree + 1) - 1;
    for (int l = 0; l < terms; ++l) {
        along[l] = rest[3 * l] * g.x + rest[3 * l + 1] * g.y + rest[3 * l + 2] * g.z;
        g_rest[3 * l] = basis[l] * g.x;
        g_rest[3 * l + 1] = basis[l] * g.y;
        g_rest[3 * l + 2] = basis[l] * g.z;
    }
    const Vec3<T> gd = sh_basis_backward(degree, direction, along);
    return (T(1) / distance) * (gd - dot(gd, direction) * direction);
}

}  // namespace milo
