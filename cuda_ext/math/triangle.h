// SPDX-License-Identifier: Apache-2.0
// A triangle seen by a pinhole camera: coverage of pixel centres, barycentrics, depth, normal, and their gradients.
// Spec: rasterization.md, 7.1 and 7.2.
#pragma once
#ifndef __CUDACC_RTC__
#include <math.h>
#endif

#include "vec.h"

namespace milo {

// ---- Coverage: exact integer arithmetic, so that faces which share an edge cover each pixel centre exactly once ----

constexpr int kSubpixelBits = 12;
constexpr int kSubpixels = 1 << kSubpixelBits;
constexpr double kGuard = 65536;   // pixels; projections stay within +-kGuard, so that edge functions fit 64 bits

struct ScreenPoint {
    int x, y;   // subpixels; the centre of pixel (column i, row j) is (i, j) * kSubpixels
};

template <class T>
MILO_HD int snap(T pixel) {
    const T scaled = pixel * T(kSubpixels);
    return static_cast<int>(scaled + (scaled < 0 ? T(-0.5) : T(0.5)));
}

// Twice the signed area of (a, b, p).
MILO_HD long long edge_function(ScreenPoint a, ScreenPoint b, ScreenPoint p) {
    return static_cast<long long>(b.x - a.x) * (p.y - a.y) - static_cast<long long>(b.y - a.y) * (p.x - a.x);
}

// Of an edge and its reverse exactly one owns the centres that lie on it.
MILO_HD bool owns_its_points(ScreenPoint a, ScreenPoint b) { return b.y > a.y || (b.y == a.y && b.x < a.x); }

// ---- What the ray of a pixel hits ----

template <class T>
struct Triangle {
    Vec3<T> v[3];

    MILO_HD Vec3<T> normal() const { return cross(v[1] - v[0], v[2] - v[0]); }   // not unit
};

// The ray through the centre of pixel (column i, row j): direction (x, y, 1).
template <class T>
MILO_HD Vec2<T> pixel_ray(Pinhole<T> lens, T i, T j) {
    return {(i + T(0.5) - lens.cx) / lens.fx, (j + T(0.5) - lens.cy) / lens.fy};
}

// weight: perspective-correct barycentrics of the point that the ray hits.  A centre just outside the triangle (snapped
// vertices cover it) and a triangle seen edge-on get weights clamped to the triangle, and no gradient to the vertices:
// then inverse = 0.
template <class T>
struct Hit {
    T weight[3];
    T inverse;   // 1 / (n . ray), n the normal that is not unit

    MILO_HD T depth(const Triangle<T>& t) const {
        return weight[0] * t.v[0].z + weight[1] * t.v[1].z + weight[2] * t.v[2].z;
    }
};

template <class T>
MILO_HD Hit<T> hit(const Triangle<T>& t, Vec2<T> ray) {
    Vec2<T> a[3];   // the vertices seen along the ray
    for (int k = 0; k < 3; ++k) a[k] = {t.v[k].x - ray.x * t.v[k].z, t.v[k].y - ray.y * t.v[k].z};
    const T e[3] = {cross(a[1], a[2]), cross(a[2], a[0]), cross(a[0], a[1])};
    const T sum = e[0] + e[1] + e[2];
    const Vec3<T> n = t.normal();
    if (!(sum * sum > T(1e-24) * dot(n, n))) return {{T(1) / 3, T(1) / 3, T(1) / 3}, T(0)};
    const T inverse = T(1) / sum;
    Hit<T> h{{e[0] * inverse, e[1] * inverse, e[2] * inverse}, inverse};
    if (h.weight[0] >= 0 && h.weight[1] >= 0 && h.weight[2] >= 0) return h;
    T total = 0;
    for (T& w : h.weight) total += w = w > 0 ? w : T(0);
    for (T& w : h.weight) w /= total;
    h.inverse = 0;
    return h;
}

// d depth / d v_k = depth_factor(k) * n: attribute and barycentric paths together.
template <class T>
MILO_HD T depth_factor(const Hit<T>& h, int k) {
    return h.weight[k] * h.inverse;
}

// Adds to grad[k] the gradient that reaches view-space vertex k from gradients of the three weights.
template <class T>
MILO_HD void weights_backward(const Triangle<T>& t, Vec2<T> ray, const Hit<T>& h, const T g[3], Vec3<T> grad[3]) {
    Vec2<T> a[3];
    T ge[3];
    const T kappa = g[0] * h.weight[0] + g[1] * h.weight[1] + g[2] * h.weight[2];
    for (int k = 0; k < 3; ++k) {
        a[k] = {t.v[k].x - ray.x * t.v[k].z, t.v[k].y - ray.y * t.v[k].z};
        ge[k] = (g[k] - kappa) * h.inverse;
    }
    for (int k = 0; k < 3; ++k) {
        const int next = (k + 1) % 3, last = (k + 2) % 3;
        const T gx = a[next].y * ge[last] - a[last].y * ge[next];
        const T gy = a[last].x * ge[next] - a[next].x * ge[last];
        grad[k] = grad[k] + Vec3<T>{gx, gy, -ray.x * gx - ray.y * gy};
    }
}

// ---- Face normals ----

constexpr double kSmallestNormal = 1e-12;   // below it a face counts as a point: short normal, no gradient

template <class T>
MILO_HD Vec3<T> unit_normal(const Triangle<T>& t) {
    const Vec3<T> c = t.normal();
    const T length = sqrt(dot(c, c));
    return (T(1) / (length > T(kSmallestNormal) ? length : T(kSmallestNormal))) * c;
}

// Adds to grad[k] what reaches vertex k from the gradient g of the unit normal.
template <class T>
MILO_HD void unit_normal_backward(const Triangle<T>& t, Vec3<T> g, Vec3<T> grad[3]) {
    const Vec3<T> c = t.normal();
    const T length = sqrt(dot(c, c));
    if (!(length > T(kSmallestNormal))) return;
    const Vec3<T> unit = (T(1) / length) * c;
    const Vec3<T> gc = (T(1) / length) * (g - dot(unit, g) * unit);
    const Vec3<T> g1 = cross(t.v[2] - t.v[0], gc), g2 = cross(gc, t.v[1] - t.v[0]);
    grad[0] = grad[0] - (g1 + g2);
    grad[1] = grad[1] + g1;
    grad[2] = grad[2] + g2;
}

}  // namespace milo
