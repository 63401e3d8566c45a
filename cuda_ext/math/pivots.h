// SPDX-License-Identifier: Apache-2.0
// The nine pivots of a Gaussian: the corners of its box and its centre.  spec: training.md 5.2
#pragma once
#include "covariance.h"

namespace milo {

// Corner j of a box along the axes of a Gaussian: x is the slowest bit of j, z the fastest; a bit of 0 is the lower side.
template <class T>
MILO_HD Vec3<T> corner_signs(int j) {
    return {j & 4 ? T(1) : T(-1), j & 2 ? T(1) : T(-1), j & 1 ? T(1) : T(-1)};
}

// half: half extents of the box, world units.
template <class T>
MILO_HD Vec3<T> box_corner(Vec3<T> mean, Quat<T> quat, Vec3<T> half, int j) {
    return mean + rotation(normalised(quat)) * (corner_signs<T>(j) * half);
}

template <class T>
MILO_HD T largest(Vec3<T> v) {
    return larger(v.x, larger(v.y, v.z));
}

template <class T>
struct BoxGradient {
    Vec3<T> mean, half;
    Quat<T> quat;
};

// g: gradients of the eight corners, then of the centre.
template <class T>
MILO_HD BoxGradient<T> box_backward(Quat<T> quat, Vec3<T> half, const Vec3<T> g[9]) {
    Vec3<T> sum = g[8], x{0, 0, 0}, y{0, 0, 0}, z{0, 0, 0};   // x, y, z: gradients of the box's half axes
    for (int j = 0; j < 8; ++j) {
        const Vec3<T> sign = corner_signs<T>(j);
        sum += g[j];
        x += sign.x * g[j];
        y += sign.y * g[j];
        z += sign.z * g[j];
    }
    const Mat3<T> axes = transposed(rotation(normalised(quat)));   // a row is an axis
    const Mat3<T> g_rotation = {{x.x * half.x, y.x * half.y, z.x * half.z},
                                {x.y * half.x, y.y * half.y, z.y * half.z},
                                {x.z * half.x, y.z * half.y, z.z * half.z}};
    return {sum, {dot(axes.r0, x), dot(axes.r1, y), dot(axes.r2, z)}, rotation_backward(quat, g_rotation)};
}

}  // namespace milo
