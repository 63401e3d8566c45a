// SPDX-License-Identifier: Apache-2.0
// Small vectors for host and device.  Freestanding: NVRTC compiles it without any standard header.
#pragma once
#ifndef __CUDACC_RTC__
#include <math.h>
#endif

#ifdef __CUDACC__
#define MILO_HD __host__ __device__ __forceinline__
#else
#define MILO_HD inline
#endif

namespace milo {

template <class T>
struct Vec2 {
    T x, y;
};

template <class T>
struct Vec3 {
    T x, y, z;
};

template <class T> MILO_HD Vec2<T> operator+(Vec2<T> a, Vec2<T> b) { return {a.x + b.x, a.y + b.y}; }
template <class T> MILO_HD Vec2<T> operator-(Vec2<T> a, Vec2<T> b) { return {a.x - b.x, a.y - b.y}; }
template <class T> MILO_HD Vec2<T> operator*(T s, Vec2<T> a) { return {s * a.x, s * a.y}; }
template <class T> MILO_HD T dot(Vec2<T> a, Vec2<T> b) { return a.x * b.x + a.y * b.y; }
template <class T> MILO_HD T cross(Vec2<T> a, Vec2<T> b) { return a.x * b.y - a.y * b.x; }

template <class T> MILO_HD Vec3<T> operator+(Vec3<T> a, Vec3<T> b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
template <class T> MILO_HD Vec3<T> operator-(Vec3<T> a, Vec3<T> b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
template <class T> MILO_HD Vec3<T> operator-(Vec3<T> a) { return {-a.x, -a.y, -a.z}; }
template <class T> MILO_HD Vec3<T> operator*(T s, Vec3<T> a) { return {s * a.x, s * a.y, s * a.z}; }
template <class T> MILO_HD T dot(Vec3<T> a, Vec3<T> b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
template <class T>
MILO_HD Vec3<T> cross(Vec3<T> a, Vec3<T> b) {
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
template <class T> MILO_HD Vec3<T> operator*(Vec3<T> a, Vec3<T> b) { return {a.x * b.x, a.y * b.y, a.z * b.z}; }
template <class T> MILO_HD Vec3<T>& operator+=(Vec3<T>& a, Vec3<T> b) { return a = a + b; }
template <class T> MILO_HD T length(Vec3<T> a) { return sqrt(dot(a, a)); }

// Of two numbers; the second one when either is NaN.
template <class T> MILO_HD T smaller(T a, T b) { return a < b ? a : b; }
template <class T> MILO_HD T larger(T a, T b) { return a > b ? a : b; }
template <class T> MILO_HD T clamped(T value, T low, T high) { return smaller(larger(value, low), high); }

// A rigid world-to-camera motion and its rotation backwards (for gradients and normals).
template <class T>
struct RigidMotion {
    Vec3<T> rows[3];   // of the rotation
    Vec3<T> shift;

    MILO_HD Vec3<T> operator()(Vec3<T> p) const { return rotate(p) + shift; }
    MILO_HD Vec3<T> rotate(Vec3<T> d) const { return {dot(rows[0], d), dot(rows[1], d), dot(rows[2], d)}; }
    MILO_HD Vec3<T> rotate_back(Vec3<T> d) const { return d.x * rows[0] + d.y * rows[1] + d.z * rows[2]; }
};

// fx, fy, cx, cy in pixels; pixel (column i, row j) covers [i, i+1) x [j, j+1), its centre is (i + 0.5, j + 0.5).
template <class T>
struct Pinhole {
    T fx, fy, cx, cy;
};

}  // namespace milo
