// SPDX-License-Identifier: Apache-2.0
// Antialiasing of a pair of neighbouring pixels at a silhouette, and its gradient.  Spec: rasterization.md, 7.3.
#pragma once
#include "triangle.h"

namespace milo {

// The way from the centre of pixel A to that of its neighbour B.
struct Step {
    bool vertical;
    int sign;   // +1 to the right or down

    MILO_HD int columns() const { return vertical ? 0 : sign; }
    MILO_HD int rows() const { return vertical ? sign : 0; }

    // Swap between (column, row) and (along, across) the step.
    template <class T>
    MILO_HD Vec2<T> aligned(Vec2<T> p) const {
        return vertical ? Vec2<T>{sign * p.y, p.x} : Vec2<T>{sign * p.x, p.y};
    }
    template <class T>
    MILO_HD Vec2<T> aligned_back(Vec2<T> p) const {
        return vertical ? Vec2<T>{p.y, sign * p.x} : Vec2<T>{sign * p.x, p.y};
    }
};

MILO_HD Step step_of(int direction) { return {direction >= 2, direction % 2 ? -1 : 1}; }   // right, left, down, up

// Of a view-space point, in pixels from the centre of pixel (column, row).
template <class T>
MILO_HD Vec2<T> screen_offset(Pinhole<T> lens, Vec3<T> v, int column, int row) {
    const T inverse = T(1) / v.z;
    return {lens.fx * v.x * inverse + lens.cx - T(0.5) - column, lens.fy * v.y * inverse + lens.cy - T(0.5) - row};
}

template <class T>
MILO_HD Vec3<T> screen_backward(Pinhole<T> lens, Vec3<T> v, Vec2<T> g) {
    const T x = lens.fx * g.x / v.z, y = lens.fy * g.y / v.z;
    return {x, y, -(x * v.x + y * v.y) / v.z};
}

template <class T>
MILO_HD T across_zero(Vec2<T> a, Vec2<T> b) {   // fraction of the way from a to b where y = 0
    return a.y / (a.y - b.y);
}

template <class T>
struct Crossing {
    int edge;   // corners edge and edge + 1; -1: none that may be blended
    T s;        // distance from A's centre, 0 to 1
};

// Where the way to B leaves A's triangle (corners in aligned coordinates), if by an edge that runs across the way.
// Each edge runs across either horizontal or vertical steps: a diagonal counts as upright.  Centres owned by rounding
// lie a hair outside: s is accepted within 1/16 of [0, 1] and clamped.
template <class T>
MILO_HD Crossing<T> way_out(const Vec2<T> corner[3], Step step) {
    Crossing<T> out{-1, T(0)};
    for (int k = 0; k < 3; ++k) {
        const Vec2<T> a = corner[k], b = corner[(k + 1) % 3];
        if ((a.y > 0) == (b.y > 0)) continue;
        const T s = a.x + across_zero(a, b) * (b.x - a.x);
        if (out.edge < 0 || s > out.s) out = {k, s};
    }
    if (out.edge < 0 || !(out.s > T(-1) / 16 && out.s < T(17) / 16)) return {-1, T(0)};
    const Vec2<T> along_edge = corner[(out.edge + 1) % 3] - corner[out.edge];
    const T lean = along_edge.x * along_edge.x, rise = along_edge.y * along_edge.y;
    if (step.vertical ? !(rise > lean) : !(rise >= lean)) return {-1, T(0)};
    out.s = out.s < 0 ? T(0) : out.s > 1 ? T(1) : out.s;
    return out;
}

// Gradients of the edge's ends (aligned coordinates) from that of s.
template <class T>
MILO_HD void way_out_backward(Vec2<T> a, Vec2<T> b, T g, Vec2<T>& ga, Vec2<T>& gb) {
    if (!(b.y - a.y != 0)) return;
    const T t = across_zero(a, b), slope = (b.x - a.x) / (b.y - a.y);
    ga = {(1 - t) * g, -(1 - t) * slope * g};
    gb = {t * g, -t * slope * g};
}

// The pair's pixel that changes moves by `amount` of the difference towards the other.
template <class T>
struct Blend {
    bool changes_b;
    T amount;
};

template <class T>
MILO_HD Blend<T> blend(T s) {
    return s > T(0.5) ? Blend<T>{true, s - T(0.5)} : Blend<T>{false, T(0.5) - s};
}

}  // namespace milo
