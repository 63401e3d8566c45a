// SPDX-License-Identifier: Apache-2.0
// 3x3 matrices.
#pragma once
#include "vec.h"

namespace milo {

// By rows.
template <class T>
struct Mat3 {
    Vec3<T> r0, r1, r2;
};

template <class T>
MILO_HD Vec3<T> operator*(const Mat3<T>& m, Vec3<T> v) { return {dot(m.r0, v), dot(m.r1, v), dot(m.r2, v)}; }

// m^T v
template <class T>
MILO_HD Vec3<T> transposed_times(const Mat3<T>& m, Vec3<T> v) { return v.x * m.r0 + v.y * m.r1 + v.z * m.r2; }

template <class T>
MILO_HD Mat3<T> operator*(const Mat3<T>& a, const Mat3<T>& b) {
    return {transposed_times(b, a.r0), transposed_times(b, a.r1), transposed_times(b, a.r2)};
}

template <class T>
MILO_HD Mat3<T> transposed(const Mat3<T>& m) {
    return {{m.r0.x, m.r1.x, m.r2.x}, {m.r0.y, m.r1.y, m.r2.y}, {m.r0.z, m.r1.z, m.r2.z}};
}

// m += u v^T
template <class T>
MILO_HD void add_outer(Mat3<T>& m, Vec3<T> u, Vec3<T> v) {
    m.r0 += u.x * v;
    m.r1 += u.y * v;
    m.r2 += u.z * v;
}

}  // namespace milo
