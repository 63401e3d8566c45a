// SPDX-License-Identifier: Apache-2.0
// Which pixel centres a face covers, and how near it is there: projection, clipping, edge functions in integers.
// Spec: rasterization.md, 7.1 and 7.4.
#pragma once
#include "triangle.h"

namespace milo {

enum Outside : unsigned { kNear = 1, kLeft = 2, kRight = 4, kAbove = 8, kBelow = 16, kNotFinite = 32 };

struct ScreenVertex {
    ScreenPoint p;
    float inv_z;
    unsigned outside;
};

struct ScreenFace {
    ScreenPoint p[3];
    float inv_z[3];
    int id;
};

// Homogeneous pixel coordinates: (x, y) / z are columns and rows with centres at integers.
MILO_HD Vec3<double> homogeneous(const Pinhole<double>& lens, Vec3<double> v) {
    return {lens.fx * v.x + (lens.cx - 0.5) * v.z, lens.fy * v.y + (lens.cy - 0.5) * v.z, v.z};
}

// The half-spaces, in homogeneous pixels, out of which a vertex cannot be projected: the near plane and a wide frame.
MILO_HD double inside_by(Vec3<double> h, double near, int plane) {
    switch (plane) {
        case 0: return h.z - near;
        case 1: return h.x + kGuard * h.z;
        case 2: return kGuard * h.z - h.x;
        case 3: return h.y + kGuard * h.z;
        default: return kGuard * h.z - h.y;
    }
}
constexpr int kPlanes = 5;
constexpr int kMostCorners = 3 + kPlanes;   // of a clipped face

MILO_HD ScreenVertex project_vertex(Vec3<double> h, double near) {
    ScreenVertex s{};
    for (int plane = 0; plane < kPlanes; ++plane) s.outside |= unsigned(inside_by(h, near, plane) < 0) << plane;
    const double sum = h.x + h.y + h.z;
    if (!(sum - sum == 0)) s.outside = kNotFinite;
    if (!s.outside) {
        const double inv_z = 1 / h.z;
        s.p = {snap(h.x * inv_z), snap(h.y * inv_z)};
        s.inv_z = static_cast<float>(inv_z);
    }
    return s;
}

// The part of a face inside all half-spaces, as a convex polygon.  Each cut goes from the inner to the outer end of an
// edge, so the two faces at an edge cut it at the same point.
MILO_HD int clip(const Triangle<double>& face, double near, Vec3<double> polygon[kMostCorners]) {
    Vec3<double> other[kMostCorners];
    int count = 3;
    for (int k = 0; k < 3; ++k) polygon[k] = face.v[k];
    for (int plane = 0; plane < kPlanes && count; ++plane) {
        int kept = 0;
        for (int k = 0; k < count; ++k) {
            const Vec3<double> a = polygon[k], b = polygon[(k + 1) % count];
            const double da = inside_by(a, near, plane), db = inside_by(b, near, plane);
            if (da >= 0) other[kept++] = a;
            if ((da >= 0) != (db >= 0))
                other[kept++] = da >= 0 ? a + (da / (da - db)) * (b - a) : b + (db / (db - da)) * (a - b);
        }
        count = kept;
        for (int k = 0; k < count; ++k) polygon[k] = other[k];
    }
    return count;
}

// True if the whole face (homogeneous) lies beyond one side of the image, or before the near plane.
MILO_HD bool misses_image(const Triangle<double>& t, double near, int height, int width) {
    bool near_out = true, left = true, right = true, above = true, below = true;
    for (const Vec3<double>& h : t.v) {
        near_out &= h.z < near;
        left &= h.x < 0;
        right &= h.x > (width - 1) * h.z;
        above &= h.y < 0;
        below &= h.y > (height - 1) * h.z;
    }
    return near_out || left || right || above || below;
}

// Calls draw(part) for the triangles of a face of which a vertex lies outside: a fan around the first corner of what
// clipping leaves.  face: in the camera frame.
template <class Draw>
MILO_HD void each_clipped_part(const Pinhole<double>& lens, Triangle<double> face, int id, double near, int height,
                               int width, const Draw& draw) {
    for (Vec3<double>& p : face.v) p = homogeneous(lens, p);
    if (misses_image(face, near, height, width)) return;
    Vec3<double> polygon[kMostCorners];
    const int count = clip(face, near, polygon);
    ScreenFace part{{}, {}, id};
    for (int k = 0; k < count; ++k) {
        const int slot = k < 2 ? k : 2;
        if (k > 2) part.p[1] = part.p[2], part.inv_z[1] = part.inv_z[2];
        const double inv_z = 1 / polygon[k].z;
        part.p[slot] = {snap(polygon[k].x * inv_z), snap(polygon[k].y * inv_z)};
        part.inv_z[slot] = static_cast<float>(inv_z);
        if (k >= 2) draw(part);
    }
}

// Inclusive pixels.
struct PixelBox {
    int left, right, top, bottom;

    MILO_HD bool empty() const { return (left > right) | (top > bottom); }
    MILO_HD long long pixels() const { return static_cast<long long>(right - left + 1) * (bottom - top + 1); }
};

// Pixels of the image whose centre may lie in the face.
MILO_HD PixelBox pixel_box(const ScreenPoint p[3], int height, int width) {
    const int low_x = smaller(smaller(p[0].x, p[1].x), p[2].x), high_x = larger(larger(p[0].x, p[1].x), p[2].x);
    const int low_y = smaller(smaller(p[0].y, p[1].y), p[2].y), high_y = larger(larger(p[0].y, p[1].y), p[2].y);
    return {larger(0, (low_x + kSubpixels - 1) >> kSubpixelBits), smaller(width - 1, high_x >> kSubpixelBits),
            larger(0, (low_y + kSubpixels - 1) >> kSubpixelBits), smaller(height - 1, high_y >> kSubpixelBits)};
}

// An edge function along a row of pixels.
struct EdgeRow {
    long long value, per_column, per_row, smallest;   // inside: at least `smallest`

    MILO_HD long long at(long long column) const { return value + column * per_column; }
};

// The edge functions of a face from pixel (left, top) on, and how nearness follows from them.
struct FaceCover {
    EdgeRow edge[3];
    double nearness[3];   // 1 / z = sum over edges of value * nearness
    bool empty;           // no area

    MILO_HD FaceCover(const ScreenFace& face, int left, int top) {
        const long long area = edge_function(face.p[0], face.p[1], face.p[2]);
        empty = area == 0;
        if (empty) return;
        const long long sign = area < 0 ? -1 : 1;   // both sides of a face are visible
        const double share = 1 / static_cast<double>(area * sign);
        const ScreenPoint start{left * kSubpixels, top * kSubpixels};
        for (int k = 0; k < 3; ++k) {
            const ScreenPoint a = face.p[(k + 1) % 3], b = face.p[(k + 2) % 3];
            edge[k].value = sign * edge_function(a, b, start);
            edge[k].per_column = -sign * (b.y - a.y) * kSubpixels;
            edge[k].per_row = sign * (b.x - a.x) * kSubpixels;
            edge[k].smallest = (sign > 0 ? owns_its_points(a, b) : owns_its_points(b, a)) ? 0 : 1;
            nearness[k] = share * face.inv_z[k];
        }
    }

    // True if the face covers the centre `column` pixels on in this row; then its depth there.
    MILO_HD bool covers(long long column, double& z) const {
        const long long e0 = edge[0].at(column), e1 = edge[1].at(column), e2 = edge[2].at(column);
        if (((e0 - edge[0].smallest) | (e1 - edge[1].smallest) | (e2 - edge[2].smallest)) < 0) return false;
        z = depth(column);
        return true;
    }

    // The depth of the face's plane `column` pixels on in this row.
    MILO_HD double depth(long long column) const {
        return 1 / (static_cast<double>(edge[0].at(column)) * nearness[0] +
                    static_cast<double>(edge[1].at(column)) * nearness[1] +
                    static_cast<double>(edge[2].at(column)) * nearness[2]);
    }

    MILO_HD FaceCover further_down(int rows) const {
        FaceCover there = *this;
        there.go_down(rows);
        return there;
    }

    MILO_HD void go_down(int rows) {
        for (EdgeRow& e : edge) e.value += rows * e.per_row;
    }
};

}  // namespace milo
