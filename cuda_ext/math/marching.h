// SPDX-License-Identifier: Apache-2.0
// Marching tetrahedra: the triangles of one tetrahedron, a vertex on an edge, and its gradient.  spec: training.md 5.5
//
// Edges of a tetrahedron: 0 = (0, 1), 1 = (0, 2), 2 = (0, 3), 3 = (1, 2), 4 = (1, 3), 5 = (2, 3).
#pragma once
#include "vec.h"

namespace milo {

// Corner k of the triangles for `code` (bit i: vertex i has sdf > 0), as the number of the edge it lies on.  Normals of a
// positively oriented tetrahedron's triangles point to the sdf > 0 side.  Quads are cut along the edges (0, 2) - (1, 3),
// or (0, 3) - (1, 2) where these two are on one side.
MILO_HD int marching_edge(int code, int k) {
    static constexpr unsigned char edges[16][6] = {
        {0, 0, 0, 0, 0, 0}, {0, 2, 1, 0, 0, 0}, {0, 3, 4, 0, 0, 0}, {1, 4, 2, 1, 3, 4},
        {1, 5, 3, 0, 0, 0}, {2, 3, 0, 2, 5, 3}, {1, 5, 4, 1, 4, 0}, {2, 5, 4, 0, 0, 0},
        {2, 4, 5, 0, 0, 0}, {1, 4, 5, 1, 0, 4}, {2, 0, 3, 2, 3, 5}, {1, 3, 5, 0, 0, 0},
        {1, 2, 4, 1, 4, 3}, {0, 4, 3, 0, 0, 0}, {0, 1, 2, 0, 0, 0}, {0, 0, 0, 0, 0, 0}};
    return edges[code][k];
}

MILO_HD int marching_triangles(int code) {
    static constexpr unsigned char counts[16] = {0, 1, 1, 2, 1, 2, 2, 1, 1, 2, 2, 1, 2, 1, 1, 0};
    return counts[code];
}

// Where the sdf, linear from a to b, is 0.  One end has sdf > 0, the other does not.
template <class T>
MILO_HD Vec3<T> marching_vertex(Vec3<T> a, Vec3<T> b, T sdf_a, T sdf_b) {
    const T size_a = sdf_a < 0 ? -sdf_a : sdf_a, size_b = sdf_b < 0 ? -sdf_b : sdf_b;
    return (1 / (size_a + size_b)) * (size_b * a + size_a * b);
}

// False for an edge longer than what the radii at its ends cover together: faces do not hang on it.
template <class T>
MILO_HD bool within_radii(Vec3<T> a, Vec3<T> b, T radius_a, T radius_b) {
    const T reach = radius_a + radius_b;
    return dot(b - a, b - a) <= reach * reach;
}

// The vertex is a + t (b - a) with t = sdf_a / (sdf_a - sdf_b): the same value, smooth at sdf = 0 too.
template <class T>
struct MarchingGradient {
    Vec3<T> a, b;
    T sdf_a, sdf_b;
};

template <class T>
MILO_HD MarchingGradient<T> marching_gradient(Vec3<T> a, Vec3<T> b, T sdf_a, T sdf_b, Vec3<T> grad) {
    const T range = sdf_a - sdf_b, t = sdf_a / range, s = 1 - t;
    const T along = dot(grad, b - a) / range;
    return {s * grad, t * grad, s * along, t * along};
}

}  // namespace milo
