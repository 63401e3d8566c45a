// SPDX-License-Identifier: Apache-2.0
// Normal of a depth map at a pixel, from its four neighbours' points.  spec: training.md 4.2
#pragma once
#include "vec.h"

namespace milo {

// Point at depth z on the ray through the centre of pixel (column i, row j).
template <class T>
MILO_HD Vec3<T> back_project(Pinhole<T> k, int i, int j, T z) {
    return {z * (T(i) + T(0.5) - k.cx) / k.fx, z * (T(j) + T(0.5) - k.cy) / k.fy, z};
}

// down - up crossed with right - left, normalised: it faces the camera.  Zero where the neighbours span no area.
template <class T>
MILO_HD Vec3<T> neighbour_normal(Vec3<T> vertical, Vec3<T> horizontal) {
    const Vec3<T> c = cross(vertical, horizontal);
    const T square = dot(c, c);
    return square > T(1e-24) ? (T(1) / sqrt(square)) * c : Vec3<T>{0, 0, 0};
}

// Gradients of neighbour_normal: g = dL/dnormal in, dL/dvertical and dL/dhorizontal out.
template <class T>
MILO_HD void neighbour_normal_backward(Vec3<T> vertical, Vec3<T> horizontal, Vec3<T> g, Vec3<T>& g_vertical,
                                       Vec3<T>& g_horizontal) {
    const Vec3<T> c = cross(vertical, horizontal);
    const T square = dot(c, c);
    g_vertical = g_horizontal = {0, 0, 0};
    if (!(square > T(1e-24))) return;
    const T inverse = T(1) / sqrt(square);
    const Vec3<T> n = inverse * c;
    const Vec3<T> gc = inverse * (g - dot(n, g) * n);
    g_vertical = cross(horizontal, gc);
    g_horizontal = cross(gc, vertical);
}

}  // namespace milo
