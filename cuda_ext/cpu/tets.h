// SPDX-License-Identifier: Apache-2.0
// Edge table of a set of tetrahedra, and marching tetrahedra over it.
#pragma once
#include <cstdint>

#include "buffer.h"

namespace milo {

using Tets = const int32_t (*)[4];
using Edges = const int32_t (*)[2];

// The unique edges (a, b), a < b, in lexicographic order; tet_edges [count][6] gets each tetrahedron's, in the order of
// math/marching.h.  Indices must be in [0, num_points).
Buffer<int32_t> unique_edges(Tets tets, int64_t count, int64_t num_points, int32_t (*tet_edges)[6]);

template <class T>
struct Surface {
    Buffer<T> verts;            // [M][3]
    Buffer<int32_t> faces;      // [F][3]; cells with one triangle first, then those with two
    Buffer<int32_t> edge_ids;   // [M] ascending: vertex m lies on edge edge_ids[m]
};

template <class T>
struct TetField {
    const T (*points)[3];
    const T* sdf;
    const T* radii;   // of the points; null: faces are kept whatever their edges' length
    int64_t num_points;
    Edges edges;
    int64_t num_edges;
};

// Faces are left out if one of their edges' ends lie farther apart than their radii together.  All vertices are there.
template <class T>
Surface<T> march(const TetField<T>& field, Tets tets, const int32_t (*tet_edges)[6], int64_t num_tets);

// Adds to grad_points and grad_sdf, in the order of the vertices whatever the number of threads.
template <class T>
void march_backward(const TetField<T>& field, const int32_t* edge_ids, int64_t num_verts, const T (*grad_verts)[3],
                    T (*grad_points)[3], T* grad_sdf);

}  // namespace milo
