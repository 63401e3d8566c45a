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

// A depth map [height, width] seen by a camera.
template <class T>
struct DepthMap {
    const T* depth;
    Pinhole<T> camera;
    int height, width;

    MILO_HD long long at(int i, int j) const { return static_cast<long long>(j) * width + i; }
    MILO_HD bool inside(int i, int j) const { return i > 0 && j > 0 && i + 1 < width && j + 1 < height; }
    MILO_HD Vec3<T> point(int i, int j) const { return back_project(camera, i, j, depth[at(i, j)]); }
    MILO_HD Vec3<T> vertical(int i, int j) const { return point(i, j + 1) - point(i, j - 1); }
    MILO_HD Vec3<T> horizontal(int i, int j) const { return point(i + 1, j) - point(i - 1, j); }
    // Zero in the outermost ring of pixels.
    MILO_HD Vec3<T> normal(int i, int j) const {
        if (!inside(i, j)) return {0, 0, 0};
        return neighbour_normal(vertical(i, j), horizontal(i, j));
    }
};

// What the gradient g of pixel (i, j)'s normal gives to the differences around it; zero in the outermost ring.
template <class T>
struct DifferenceGrads {
    Vec3<T> vertical, horizontal;
};

template <class T>
MILO_HD DifferenceGrads<T> difference_gradients(const DepthMap<T>& map, int i, int j, Vec3<T> g) {
    DifferenceGrads<T> grads{{0, 0, 0}, {0, 0, 0}};
    if (map.inside(i, j))
        neighbour_normal_backward(map.vertical(i, j), map.horizontal(i, j), g, grads.vertical, grads.horizontal);
    return grads;
}

// The gradient of the depth at (i, j), which takes part in the normals of its four neighbours.
// gradients(i, j): of the differences around a pixel, zero outside the map.
template <class T, class Gradients>
MILO_HD T depth_gradient(const DepthMap<T>& map, int i, int j, const Gradients& gradients) {
    const Vec3<T> sum = gradients(i, j - 1).vertical - gradients(i, j + 1).vertical + gradients(i - 1, j).horizontal -
                        gradients(i + 1, j).horizontal;
    return dot(sum, back_project(map.camera, i, j, T(1)));
}

}  // namespace milo
