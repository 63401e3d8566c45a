// SPDX-License-Identifier: Apache-2.0
// A 3x3 matrix taken apart into rotations and stretches.  spec: extraction_evaluation_editing.md 3.7.4
#pragma once
#include "covariance.h"

namespace milo {

template <class T>
MILO_HD Mat3<T> matrix_at(const T* m) {   // row-major
    return {{m[0], m[1], m[2]}, {m[3], m[4], m[5]}, {m[6], m[7], m[8]}};
}

template <class T>
MILO_HD Mat3<T> linear_part(const T* m) {   // of a row-major [4, 4]
    return {{m[0], m[1], m[2]}, {m[4], m[5], m[6]}, {m[8], m[9], m[10]}};
}

template <class T>
MILO_HD void store_matrix(T* to, const Mat3<T>& m) {
    to[0] = m.r0.x, to[1] = m.r0.y, to[2] = m.r0.z;
    to[3] = m.r1.x, to[4] = m.r1.y, to[5] = m.r1.z;
    to[6] = m.r2.x, to[7] = m.r2.y, to[8] = m.r2.z;
}

template <class T>
MILO_HD Mat3<T> operator*(T s, const Mat3<T>& m) { return {s * m.r0, s * m.r1, s * m.r2}; }

template <class T>
MILO_HD T determinant(const Mat3<T>& m) { return dot(cross(m.r0, m.r1), m.r2); }

template <class T>
MILO_HD T absolute(T x) { return x < T(0) ? -x : x; }

template <class T>
MILO_HD T largest(Vec3<T> v) { return larger(larger(absolute(v.x), absolute(v.y)), absolute(v.z)); }

template <class T>
MILO_HD T largest(const Mat3<T>& m) { return larger(larger(largest(m.r0), largest(m.r1)), largest(m.r2)); }

// A V = U diag(S), unsorted, by columns: U is orthogonal, V a rotation, S >= 0.
template <class T>
struct Decomposed {
    Vec3<T> u[3], v[3];
    Vec3<T> s;
};

// Turn two columns until they are orthogonal; false if they are already, but for rounding.
template <class T>
MILO_HD bool orthogonalise(Vec3<T>& a, Vec3<T>& b, Vec3<T>& va, Vec3<T>& vb) {
    constexpr T kRounding = sizeof(T) == 4 ? T(1e-7) : T(1e-15);
    const T first = dot(a, a), second = dot(b, b), off = T(2) * dot(a, b);
    if (!(absolute(off) > kRounding * T(sqrt(first * second)))) return false;
    const T ratio = (second - first) / off, root = sqrt(ratio * ratio + T(1));   // a ratio: squares of small ones vanish
    const T tangent = T(1) / (ratio < T(0) ? ratio - root : ratio + root);
    const T cosine = T(1) / T(sqrt(T(1) + tangent * tangent)), sine = tangent * cosine;
    const Vec3<T> a_before = a, v_before = va;
    a = cosine * a - sine * b;
    b = sine * a_before + cosine * b;
    va = cosine * va - sine * vb;
    vb = sine * v_before + cosine * vb;
    return true;
}

// The column of the least singular value made from the others; where two vanish, from the remaining one.
template <class T>
MILO_HD void complete(Decomposed<T>& d, T sign) {
    const bool x = d.s.x <= d.s.y && d.s.x <= d.s.z, y = !x && d.s.y <= d.s.z;   // is the least; z otherwise
    Vec3<T> first = x ? d.u[1] : y ? d.u[2] : d.u[0], second = x ? d.u[2] : y ? d.u[0] : d.u[1];   // cyclic
    const T s_first = x ? d.s.y : y ? d.s.z : d.s.x, s_second = x ? d.s.z : y ? d.s.x : d.s.y;
    const bool swap = s_second > s_first;
    Vec3<T> longer = swap ? second : first, shorter = swap ? first : second;
    if (!(dot(longer, longer) > T(0.25))) longer = {T(1), T(0), T(0)};   // all vanish
    shorter = shorter - dot(shorter, longer) * longer;
    if (!(dot(shorter, shorter) > T(0.25))) {   // a needle: an axis across serves
        const T ax = absolute(longer.x), ay = absolute(longer.y), az = absolute(longer.z);
        const bool along_x = ax <= ay && ax <= az, along_y = !along_x && ay <= az;
        shorter = {T(along_x), T(along_y), T(!along_x && !along_y)};
        shorter = shorter - dot(shorter, longer) * longer;
    }
    shorter = (T(1) / length(shorter)) * shorter;
    first = swap ? shorter : longer;
    second = swap ? longer : shorter;
    const Vec3<T> third = sign * cross(first, second);
    d.u[0] = x ? third : y ? second : first;
    d.u[1] = x ? first : y ? third : second;
    d.u[2] = x ? second : y ? first : third;
}

// One-sided Jacobi: columns are turned in pairs until they are orthogonal, which keeps small singular values exact
// relative to their own column (flat Gaussians), also in float.  sign: the determinant of U, +1 or -1; it only turns the
// axis of the least singular value.
template <class T>
MILO_HD Decomposed<T> decompose(const Mat3<T>& A, T sign) {
    constexpr int kSweeps = 6;
    constexpr T kTiny = T(1.2e-38);
    const T size = larger(largest(A), kTiny);
    const Mat3<T> columns = transposed((T(1) / size) * A);
    Vec3<T> a = columns.r0, b = columns.r1, c = columns.r2;
    Decomposed<T> d = {{a, b, c}, {{T(1), T(0), T(0)}, {T(0), T(1), T(0)}, {T(0), T(0), T(1)}}, {}};
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
        bool turned = orthogonalise(a, b, d.v[0], d.v[1]);
        turned |= orthogonalise(a, c, d.v[0], d.v[2]);
        turned |= orthogonalise(b, c, d.v[1], d.v[2]);
        if (!turned) break;
    }
    d.s = {length(a), length(b), length(c)};
    d.u[0] = (T(1) / larger(d.s.x, T(1e-30))) * a;
    d.u[1] = (T(1) / larger(d.s.y, T(1e-30))) * b;
    d.u[2] = (T(1) / larger(d.s.z, T(1e-30))) * c;
    complete(d, sign);
    d.s = size * d.s;
    return d;
}

// U diag(s) V^T
template <class T>
MILO_HD Mat3<T> composed(const Decomposed<T>& d, Vec3<T> s) {
    Mat3<T> m = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
    add_outer(m, s.x * d.u[0], d.v[0]);
    add_outer(m, s.y * d.u[1], d.v[1]);
    add_outer(m, s.z * d.u[2], d.v[2]);
    return m;
}

// Unit quaternion of the rotation with these columns.
template <class T>
MILO_HD Quat<T> quaternion(const Vec3<T> axes[3]) {
    const T a = axes[0].x, e = axes[1].y, i = axes[2].z;
    const T x = axes[1].z - axes[2].y, y = axes[2].x - axes[0].z, z = axes[0].y - axes[1].x;   // 4 w times x, y, z
    const T xy = axes[0].y + axes[1].x, xz = axes[2].x + axes[0].z, yz = axes[1].z + axes[2].y;
    const T ww = T(1) + a + e + i, xx = T(1) + a - e - i, yy = T(1) - a + e - i, zz = T(1) - a - e + i;
    // From the largest component: nothing cancels.
    if (ww >= xx && ww >= yy && ww >= zz) return normalised(Quat<T>{ww, x, y, z});
    if (xx >= yy && xx >= zz) return normalised(Quat<T>{x, xx, xy, xz});
    if (yy >= zz) return normalised(Quat<T>{y, xy, yy, yz});
    return normalised(Quat<T>{z, xz, yz, zz});
}

}  // namespace milo
