// SPDX-License-Identifier: Apache-2.0
// The pinhole camera of the splat kernels, and the projection of a mean.  spec: rasterization.md 1.2, 1.4, 1.6, 1.12
#pragma once
#include "matrix.h"

namespace milo {

constexpr int kTile = 16;   // pixels; a tile is kTile x kTile

// p_view = R p_world + h.  Pixels are integer-centred inside the kernels: pixel (i, j) has its centre at u = i, v = j,
// so u = fx x/z + cx - 0.5 where cx, cy is the principal point in the usual convention (a centred one is W/2, H/2).
template <class T>
struct Camera {
    Mat3<T> R;
    Vec3<T> h;
    T fx, fy, cx, cy;
    int width, height;

    MILO_HD int tiles_x() const { return (width + kTile - 1) / kTile; }
    MILO_HD int tiles_y() const { return (height + kTile - 1) / kTile; }
    MILO_HD Vec3<T> to_view(Vec3<T> world) const { return R * world + h; }
    MILO_HD Vec3<T> to_world_direction(Vec3<T> view) const { return transposed_times(R, view); }
    MILO_HD Vec3<T> centre() const { return -transposed_times(R, h); }
};

// viewmat: 16 row-major, K: 9 row-major.
template <class T>
MILO_HD Camera<T> make_camera(const T* viewmat, const T* K, int width, int height) {
    const T* v = viewmat;
    return {{{v[0], v[1], v[2]}, {v[4], v[5], v[6]}, {v[8], v[9], v[10]}},
            {v[3], v[7], v[11]},
            K[0], K[4], K[2], K[5], width, height};
}

// Integer-centred pixel position of a view-space point.
template <class T>
MILO_HD Vec2<T> project(const Camera<T>& camera, Vec3<T> p) {
    const T m = T(1) / (p.z + T(1e-7));
    return {camera.fx * p.x * m + camera.cx - T(0.5), camera.fy * p.y * m + camera.cy - T(0.5)};
}

// Gradient of `project` with respect to p.
template <class T>
MILO_HD Vec3<T> project_backward(const Camera<T>& camera, Vec3<T> p, Vec2<T> g) {
    const T m = T(1) / (p.z + T(1e-7));
    const T gx = camera.fx * m * g.x, gy = camera.fy * m * g.y;
    return {gx, gy, -m * (gx * p.x + gy * p.y)};
}

// The mean with its lateral position held within 15 % of the image size outside the image, where the local
// linearisation of the projection is still sensible.
template <class T>
struct ClampedMean {
    Vec3<T> t;
    bool free_x, free_y;   // false: clamped, no gradient through that coordinate (quirk Q2)
};

template <class T>
MILO_HD ClampedMean<T> clamp_mean(const Camera<T>& camera, Vec3<T> p) {
    const T u = p.x / p.z, v = p.y / p.z;
    const T w = T(camera.width), h = T(camera.height);
    const T u0 = (T(-0.15) * w - camera.cx) / camera.fx, u1 = (T(1.15) * w - camera.cx) / camera.fx;
    const T v0 = (T(-0.15) * h - camera.cy) / camera.fy, v1 = (T(1.15) * h - camera.cy) / camera.fy;
    return {{clamped(u, u0, u1) * p.z, clamped(v, v0, v1) * p.z, p.z}, u >= u0 && u <= u1, v >= v0 && v <= v1};
}

}  // namespace milo
