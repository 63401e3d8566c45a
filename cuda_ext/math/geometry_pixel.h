// SPDX-License-Identifier: Apache-2.0
// Depth and normal of a pixel of the geometry raster from the sums over its Gaussians, and back.
// spec: rasterization.md 2.2, 2.3
#pragma once
#include "camera.h"

namespace milo {

// (i - cx, j - cy) over the focal lengths, without the half pixel (quirk Q5): distance along the ray over z depth.
template <class T>
MILO_HD T ray_length(const Camera<T>& camera, int i, int j) {
    const T x = (T(i) - camera.cx) / camera.fx, y = (T(j) - camera.cy) / camera.fy;
    return sqrt(x * x + y * y + T(1));
}

// distance: sum of weight * distance; ray: ray_length.
template <class T>
MILO_HD T expected_depth(T distance, T alpha, T ray) { return alpha > T(0) ? distance / (ray * alpha) : T(0); }

template <class T>
struct ExpectedDepthGrad {
    T distance, alpha;   // of the two sums, per unit of weight
};

template <class T>
MILO_HD ExpectedDepthGrad<T> expected_depth_backward(T g, T expected, T alpha, T ray) {
    const T per_alpha = alpha > T(0) ? g / alpha : T(0);
    return {per_alpha / ray, -per_alpha * expected};
}

constexpr double kNormalFloor = 1e-12;   // of the length of the summed normal

// n: the sum over its length, floored.
template <class T>
MILO_HD Vec3<T> summed_normal_backward(Vec3<T> n, T length, Vec3<T> g) {
    const T along = length < T(kNormalFloor) ? T(0) : dot(n, g), scale = T(1) / larger(length, T(kNormalFloor));
    return {(g.x - along * n.x) * scale, (g.y - along * n.y) * scale, (g.z - along * n.z) * scale};
}

}  // namespace milo
