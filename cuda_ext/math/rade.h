// SPDX-License-Identifier: Apache-2.0
// Depth and normal of a Gaussian as RaDe-GS sees it: a plane through the mean, linear in the pixel offset.
// spec: rasterization.md 2.1, 2.4.  The stable forms in s and U are used; no eigen-solver.
#pragma once
#include "matrix.h"

namespace milo {

constexpr double kFlatVariance = 1e-8;   // a Gaussian whose thinnest axis has no more is a disc

// Distance along the ray at a pixel = distance + slope . (mean2D - pixel), slope per pixel of (fx, fy) = 1 units:
// the caller divides by the focal lengths.
template <class T>
struct RayPlane {
    Vec2<T> slope;    // R* of the spec
    Vec3<T> normal;   // view space, towards the camera
    bool valid;       // false: slope and normal are 0 and pass no gradient
    bool floored;     // the ray grazes the plane; no gradient either
    // kept for the backward pass
    Vec3<T> weight;   // of the axes in the inverse covariance, relative to the thinnest
    Vec3<T> ray, along, m, q;
    T inverse_length, m_ray;
};

// A = R U: axes in the view frame (columns).  t: clamped view-space mean.
template <class T>
MILO_HD RayPlane<T> ray_plane(const Mat3<T>& A, Vec3<T> s, Vec3<T> t) {
    RayPlane<T> plane;
    const T thinnest = smaller(s.x, smaller(s.y, s.z));
    if (thinnest * thinnest > T(kFlatVariance)) {
        const Vec3<T> w = {thinnest / s.x, thinnest / s.y, thinnest / s.z};
        plane.weight = w * w;
    } else if (s.x == thinnest) {
        plane.weight = {1, 0, 0};
    } else if (s.y == thinnest) {
        plane.weight = {0, 1, 0};
    } else {
        plane.weight = {0, 0, 1};
    }
    const T u = t.x / t.z, v = t.y / t.z, nl = T(1) + u * u + v * v, l = length(t);
    plane.ray = {u, v, T(1)};
    plane.along = transposed_times(A, plane.ray);
    plane.m = A * (plane.weight * plane.along);
    const T m_length = length(plane.m);
    plane.valid = m_length > T(0);
    plane.floored = false;
    plane.slope = {0, 0};
    plane.normal = {0, 0, 0};
    if (!plane.valid) return plane;
    plane.inverse_length = T(1) / m_length;
    plane.normal = -plane.inverse_length * plane.m;
    plane.m_ray = dot(plane.weight * plane.along, plane.along);
    const T cosine = plane.m_ray * plane.inverse_length;
    plane.floored = !(cosine > T(1e-7));
    if (plane.floored) {
        plane.q = T(-1e7) * plane.normal;
        const T q_ray = T(1e7) * cosine;
        plane.slope = {(nl * plane.q.x - q_ray * u) * l / nl, (nl * plane.q.y - q_ray * v) * l / nl};
    } else {
        plane.q = (T(1) / plane.m_ray) * plane.m;
        plane.slope = {l * plane.q.x - t.x * t.z / l, l * plane.q.y - t.y * t.z / l};
    }
    return plane;
}

// Adds to the gradients of the axes, the scales and the clamped mean.
template <class T>
MILO_HD void ray_plane_backward(const RayPlane<T>& plane, const Mat3<T>& A, Vec3<T> s, Vec3<T> t, Vec2<T> g_slope,
                                Vec3<T> g_normal, Mat3<T>& gA, Vec3<T>& gs, Vec3<T>& gt) {
    if (!plane.valid || plane.floored) return;
    const T l = length(t), il = T(1) / l;
    const Vec3<T> q = plane.q;
    const Vec3<T> gq = {l * g_slope.x, l * g_slope.y, T(0)};
    const T along_l = (g_slope.x * t.x + g_slope.y * t.y) * il;
    const T gl = g_slope.x * q.x + g_slope.y * q.y + along_l * t.z * il;
    gt += (gl * il) * t;
    gt.x -= g_slope.x * t.z * il;
    gt.y -= g_slope.y * t.z * il;
    gt.z -= along_l;
    // q = m/(m.r), normal = -m/|m|, m = A (weight o (A^T r))
    const T rho = dot(gq, q);
    const Vec3<T> gm = (T(1) / plane.m_ray) * (gq - rho * plane.ray) -
                       plane.inverse_length * (g_normal - dot(plane.normal, g_normal) * plane.normal);
    const Vec3<T> g_weighted = transposed_times(A, gm);
    const Vec3<T> g_along = plane.weight * g_weighted;
    add_outer(gA, gm, plane.weight * plane.along);
    add_outer(gA, plane.ray, g_along);
    const Vec3<T> gr = A * g_along - rho * q;
    const T iz = T(1) / t.z;
    gt.x += gr.x * iz;
    gt.y += gr.y * iz;
    gt.z -= (gr.x * plane.ray.x + gr.y * plane.ray.y) * iz;
    const T thinnest = smaller(s.x, smaller(s.y, s.z));
    if (thinnest * thinnest > T(kFlatVariance)) {   // weight_i = const/s_i^2: a common factor changes neither q nor the normal
        const Vec3<T> gw = g_weighted * plane.along * plane.weight;
        gs += Vec3<T>{T(-2) * gw.x / s.x, T(-2) * gw.y / s.y, T(-2) * gw.z / s.z};
    }
}

}  // namespace milo
