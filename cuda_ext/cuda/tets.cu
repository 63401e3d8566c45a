// SPDX-License-Identifier: Apache-2.0
// Marching tetrahedra over a static edge table.  Spec: training.md, 5.5.
//
// A warp owns a run of kRun edges or tetrahedra.  `classify` leaves a bit per crossed edge and a code per tetrahedron, and
// how many each run has; `scan_runs` turns counts into places; then vertices and faces are written where they belong.
// The vertex of a crossed edge is found by rank: no table of all edges is written.
#include "common.cuh"
#include "marching.h"

using namespace milo;

namespace {

constexpr int kRun = 512, kWords = kRun / 32;

struct EdgeWord {
    unsigned crossed;   // bit k: edge 32 w + k
    int before;         // crossed edges in earlier words
};

__device__ __forceinline__ int positive(const unsigned* signs, int point) { return signs[point >> 5] >> (point & 31) & 1; }

__device__ __forceinline__ int rank_below(unsigned bits, int lane) { return __popc(bits & ((1u << lane) - 1)); }

__device__ __forceinline__ int vertex_of(const EdgeWord* words, int edge) {
    const EdgeWord word = words[edge >> 5];
    return word.before + rank_below(word.crossed, edge & 31);
}

}  // namespace

// signs: a bit per point, sdf > 0
KERNEL pack_signs(const Scalar* sdf, int num_points, unsigned* signs) {
    const long long i = thread_index();
    const unsigned bits = __ballot_sync(kWholeWarp, i < num_points && sdf[i] > 0);
    if (i < num_points && threadIdx.x % 32 == 0) signs[i / 32] = bits;
}

// runs: [edge runs + 2 tet runs]: crossed edges; then tetrahedra with one triangle; then those with two.
KERNEL classify(const unsigned* signs, const int2* edges, int num_edges, const int4* tets, int num_tets, EdgeWord* words,
                unsigned char* codes, int* runs) {
    const int lane = threadIdx.x % 32, edge_runs = (num_edges + kRun - 1) / kRun, tet_runs = (num_tets + kRun - 1) / kRun;
    const int warp = static_cast<int>(thread_index() / 32);
    if (warp < edge_runs) {
        int count = 0;
#pragma unroll 4
        for (int w = 0; w < kWords; ++w) {
            const int e = warp * kRun + 32 * w + lane;
            bool crossed = false;
            if (e < num_edges) {
                const int2 edge = edges[e];
                crossed = positive(signs, edge.x) != positive(signs, edge.y);
            }
            const unsigned bits = __ballot_sync(kWholeWarp, crossed);
            if (lane == 0 && e < num_edges) words[e >> 5].crossed = bits;
            count += __popc(bits);
        }
        if (lane == 0) runs[warp] = count;
    } else if (warp < edge_runs + tet_runs) {
        const int run = warp - edge_runs;
        int ones = 0, twos = 0;
#pragma unroll 4
        for (int w = 0; w < kWords; ++w) {
            const int t = run * kRun + 32 * w + lane;
            int code = 0;
            if (t < num_tets) {
                const int4 v = tets[t];
                code = positive(signs, v.x) | positive(signs, v.y) << 1 | positive(signs, v.z) << 2 |
                       positive(signs, v.w) << 3;
                codes[t] = static_cast<unsigned char>(code);
            }
            const int triangles = marching_triangles(code);
            ones += __popc(__ballot_sync(kWholeWarp, triangles == 1));
            twos += __popc(__ballot_sync(kWholeWarp, triangles == 2));
        }
        if (lane == 0) runs[edge_runs + run] = ones, runs[edge_runs + tet_runs + run] = twos;
    }
}

// One block: each of the three stretches of runs becomes its exclusive sums; sums [3] gets the totals.
KERNEL scan_runs(int* runs, int edge_runs, int tet_runs, int* sums) {
    __shared__ int warps[32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int* stretch = runs;
    for (int s = 0; s < 3; ++s) {
        const int length = s == 0 ? edge_runs : tet_runs;
        const int share = (length + blockDim.x - 1) / static_cast<int>(blockDim.x);
        const int begin = min(length, static_cast<int>(threadIdx.x) * share), end = min(length, begin + share);
        int own = 0;
        for (int k = begin; k < end; ++k) own += stretch[k];
        int up_to = own;   // sum over the threads up to this one
        for (int step = 1; step < 32; step *= 2) {
            const int other = __shfl_up_sync(kWholeWarp, up_to, step);
            if (lane >= step) up_to += other;
        }
        __syncthreads();
        if (lane == 31) warps[warp] = up_to;
        __syncthreads();
        int before = up_to - own, total = 0;
        for (int k = 0; k < static_cast<int>(blockDim.x) / 32; ++k) {
            if (k < warp) before += warps[k];
            total += warps[k];
        }
        for (int k = begin; k < end; ++k) {
            const int here = stretch[k];
            stretch[k] = before;
            before += here;
        }
        if (threadIdx.x == 0) sums[s] = total;
        stretch += length;
    }
}

KERNEL place_vertices(const Scalar* points, const Scalar* sdf, const int2* edges, int num_edges, EdgeWord* words,
                      const int* runs, Scalar* verts, int* edge_ids) {
    const int lane = threadIdx.x % 32, run = static_cast<int>(thread_index() / 32);
    if (run >= (num_edges + kRun - 1) / kRun) return;
    int before = runs[run];
    for (int w = 0; w < kWords && run * kRun + 32 * w < num_edges; ++w) {
        const int e = run * kRun + 32 * w + lane;
        const unsigned bits = words[e >> 5].crossed;
        if (lane == 0) words[e >> 5].before = before;
        if (bits >> lane & 1) {
            const int m = before + rank_below(bits, lane);
            const int2 edge = edges[e];
            store3(verts, m, marching_vertex(load3(points, edge.x), load3(points, edge.y), sdf[edge.x], sdf[edge.y]));
            edge_ids[m] = e;
        }
        before += __popc(bits);
    }
}

// faces: tetrahedra with one triangle first, then those with two.
KERNEL place_faces(const int* tet_edges, const unsigned char* codes, int num_tets, const EdgeWord* words,
                   const int* one_runs, const int* two_runs, const int* sums, int* faces) {
    const int lane = threadIdx.x % 32, run = static_cast<int>(thread_index() / 32);
    if (run >= (num_tets + kRun - 1) / kRun) return;
    int ones = one_runs[run], twos = sums[1] + 2 * two_runs[run];   // faces before
    for (int w = 0; w < kWords && run * kRun + 32 * w < num_tets; ++w) {
        const int t = run * kRun + 32 * w + lane;
        const int code = t < num_tets ? codes[t] : 0, triangles = marching_triangles(code);
        const unsigned one = __ballot_sync(kWholeWarp, triangles == 1), two = __ballot_sync(kWholeWarp, triangles == 2);
        if (triangles) {
            const int place = triangles == 1 ? ones + rank_below(one, lane) : twos + 2 * rank_below(two, lane);
            const int* own = tet_edges + 6ll * t;
            int* face = faces + 3ll * place;
            for (int k = 0; k < 3 * triangles; ++k) face[k] = vertex_of(words, own[marching_edge(code, k)]);
        }
        ones += __popc(one);
        twos += 2 * __popc(two);
    }
}

// Adds to grad_points [P, 3] and grad_sdf [P].
KERNEL march_backward(const Scalar* points, const Scalar* sdf, const int2* edges, const int* edge_ids, int num_verts,
                      const Scalar* grad_verts, Scalar* grad_points, Scalar* grad_sdf) {
    const long long m = thread_index();
    if (m >= num_verts) return;
    const int2 edge = edges[edge_ids[m]];
    const auto grad = marching_gradient(load3(points, edge.x), load3(points, edge.y), sdf[edge.x], sdf[edge.y],
                                        load3(grad_verts, m));
    add_atomically(grad_points, edge.x, grad.a);
    add_atomically(grad_points, edge.y, grad.b);
    atomicAdd(grad_sdf + edge.x, grad.sdf_a);
    atomicAdd(grad_sdf + edge.y, grad.sdf_b);
}
