// SPDX-License-Identifier: Apache-2.0
// A depth map judged at free points: where a point falls in the image, how far it lies in front of the surface, and the
// running means.  Spec: training.md, 5.6 and 5.9.
#pragma once
#include "vec.h"

namespace milo {

template <class T>
struct DepthView {
    RigidMotion<T> pose;   // world to camera
    Pinhole<T> lens;
    int height, width;
    T near, far;
};

template <class T>
struct Sighting {
    bool inside;   // in the image and between the planes
    T u, v;        // pixels, 0 at the centre of the first
    T z;

    MILO_HD int column() const { return static_cast<int>(u + T(0.5)); }   // the nearest pixel
    MILO_HD int row() const { return static_cast<int>(v + T(0.5)); }
};

template <class T>
MILO_HD Sighting<T> sight(const DepthView<T>& view, Vec3<T> point) {
    const Vec3<T> p = view.pose(point);
    if (!(p.z > view.near && p.z < view.far)) return {false, T(0), T(0), p.z};
    const T u = view.lens.fx * p.x / p.z + view.lens.cx - T(0.5);
    const T v = view.lens.fy * p.y / p.z + view.lens.cy - T(0.5);
    return {u >= 0 && u <= view.width - 1 && v >= 0 && v <= view.height - 1, u, v, p.z};
}

// Empty pixels (depth 0) blend into their neighbours.
template <class T, class S>
MILO_HD T bilinear(const S* map, int height, int width, T u, T v) {
    const int left = static_cast<int>(u), top = static_cast<int>(v);
    const int right = left + 1 < width ? left + 1 : left, bottom = top + 1 < height ? top + 1 : top;
    const T x = u - left, y = v - top;
    const S *above = map + static_cast<long long>(top) * width, *below = map + static_cast<long long>(bottom) * width;
    return (1 - y) * ((1 - x) * above[left] + x * above[right]) + y * ((1 - x) * below[left] + x * below[right]);
}

// Signed distance to the surface in units of the truncation, at most 1; below -1 the point is hidden and says nothing.
template <class T>
MILO_HD bool truncated_distance(T depth, T z, T truncation, T& distance) {
    const T d = (depth - z) / truncation;
    distance = d < 1 ? d : T(1);
    return depth > 0 && d >= -1;
}

template <class T>
MILO_HD T running_mean(T mean, T weight, T value) {
    return (mean * weight + value) / (weight + 1);
}

}  // namespace milo
