// SPDX-License-Identifier: Apache-2.0
// A triangle mesh (world units) and the camera that looks at it.  Formulas: math/triangle.h.
#pragma once
#include "common.cuh"
#include "triangle.h"

// The arguments of every kernel that takes a mesh, in this order.
#define MESH_AND_CAMERA                                                                                       \
    const Scalar *verts, const int *faces, int num_verts, int num_faces, const double *viewmat, const double *K

namespace milo {

struct SeenMesh {
    const Scalar* verts;
    const int* faces;
    int num_verts, num_faces;
    RigidMotion<double> pose;
    Pinhole<double> lens;

    __device__ SeenMesh(MESH_AND_CAMERA)
        : verts(verts), faces(faces), num_verts(num_verts), num_faces(num_faces), pose(rigid_motion<double>(viewmat)),
          lens(pinhole<double>(K)) {}

    __device__ Vec3<double> world(int v) const {
        const Vec3<Scalar> p = load3(verts, v);
        return {double(p.x), double(p.y), double(p.z)};
    }
    // False for a face that is none: no index, or one that names a vertex out of range.
    __device__ bool corners(int face, int v[3]) const {
        if (face < 0 || face >= num_faces) return false;
        bool real = true;
        for (int k = 0; k < 3; ++k) {
            v[k] = faces[3ll * face + k];
            real &= v[k] >= 0 && v[k] < num_verts;
        }
        return real;
    }
    // In the camera frame.  Always double: sub-pixel triangles far from the origin leave float no digits.
    __device__ Triangle<double> triangle(const int v[3]) const {
        return {{pose(world(v[0])), pose(world(v[1])), pose(world(v[2]))}};
    }
};

// The sum of `value` over the lanes that have the same key, in the first of them; true there.  All lanes take part.
template <int N>
__device__ __forceinline__ bool sum_by_key(int key, double (&value)[N]) {
    const unsigned peers = __match_any_sync(kWholeWarp, key);
    const int lane = threadIdx.x % 32, first = __ffs(peers) - 1;
    double sum[N];
#pragma unroll
    for (int n = 0; n < N; ++n) sum[n] = 0;
    for (unsigned rest = peers; rest; rest &= rest - 1) {
        const int peer = __ffs(rest) - 1;
#pragma unroll
        for (int n = 0; n < N; ++n) sum[n] += __shfl_sync(peers, value[n], peer);
    }
#pragma unroll
    for (int n = 0; n < N; ++n) value[n] = sum[n];
    return lane == first;
}

__device__ __forceinline__ void add_gradient(Scalar* g_verts, int vertex, Vec3<double> g) {
    add_atomically(g_verts, vertex, Vec3<Scalar>{Scalar(g.x), Scalar(g.y), Scalar(g.z)});
}

}  // namespace milo
