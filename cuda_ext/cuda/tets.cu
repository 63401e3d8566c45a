// SPDX-License-Identifier: Apache-2.0
// Marching tetrahedra over a static edge table.  Spec: training.md, 5.5.
//
// A warp owns a run of kRun edges or tetrahedra.  `classify` leaves a bit per crossed edge and a code per tetrahedron, and
// how many each run has; `scan_runs` turns counts into places; then vertices and faces are written where they belong, by
// warps that first gather the few that count, so that no lane idles.  The vertex of a crossed edge is found by rank: no
// table of all edges is written.
#include "common.cuh"
#include "marching.h"

using namespace milo;

namespace {

constexpr int kRun = 512, kWords = kRun / 32, kWarps = 4;   // warps of a block

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

// Sum over the lanes before this one, and over all.
__device__ __forceinline__ int lanes_before(int own, int& total) {
    int up_to = own;
    for (int step = 1; step < 32; step *= 2) {
        const int other = __shfl_up_sync(kWholeWarp, up_to, step);
        if (threadIdx.x % 32 >= step) up_to += other;
    }
    total = __shfl_sync(kWholeWarp, up_to, 31);
    return up_to - own;
}

}  // namespace

// signs: a bit per point, sdf > 0.  words and codes have room for whole runs.
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
            if (lane == 0) words[e >> 5].crossed = bits;
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
            }
            codes[t] = static_cast<unsigned char>(code);
            const int triangles = marching_triangles(code);
            ones += __popc(__ballot_sync(kWholeWarp, triangles == 1));
            twos += __popc(__ballot_sync(kWholeWarp, triangles == 2));
        }
        if (lane == 0) runs[edge_runs + run] = ones, runs[edge_runs + tet_runs + run] = twos;
    }
}

// Block s makes the exclusive sums of stretch s of the runs, and its total sums[s].
KERNEL scan_runs(int* runs, int edge_runs, int tet_runs, int* sums) {
    __shared__ int warps[32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, num_warps = blockDim.x / 32;
    int* stretch = runs + (blockIdx.x > 0 ? edge_runs : 0) + (blockIdx.x > 1 ? tet_runs : 0);
    const int length = blockIdx.x == 0 ? edge_runs : tet_runs;
    int before = 0;   // of this tile
    for (int begin = 0; begin < length; begin += blockDim.x) {
        const int k = begin + static_cast<int>(threadIdx.x), own = k < length ? stretch[k] : 0;
        int total;
        int place = before + lanes_before(own, total);
        __syncthreads();
        if (lane == 0) warps[warp] = total;
        __syncthreads();
        for (int w = 0; w < num_warps; ++w) {
            if (w < warp) place += warps[w];
            before += warps[w];
        }
        if (k < length) stretch[k] = place;
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = before;
}

KERNEL place_vertices(const Scalar* points, const Scalar* sdf, const int2* edges, int num_edges, EdgeWord* words,
                      const int* runs, Scalar* verts, int* edge_ids) {
    __shared__ unsigned short chosen[kWarps][kRun];   // of the warp's run
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, run = static_cast<int>(thread_index() / 32);
    if (run >= (num_edges + kRun - 1) / kRun) return;
    const int first = runs[run];
    const unsigned bits = lane < kWords ? words[run * kWords + lane].crossed : 0;
    int count;
    int place = lanes_before(__popc(bits), count);
    if (lane < kWords) words[run * kWords + lane].before = first + place;
    for (unsigned rest = bits; rest; rest &= rest - 1)
        chosen[warp][place++] = static_cast<unsigned short>(32 * lane + __ffs(rest) - 1);
    __syncwarp();
    for (int k = lane; k < count; k += 32) {
        const int e = run * kRun + chosen[warp][k];
        const int2 edge = edges[e];
        store3(verts, first + k,
               marching_vertex(load3(points, edge.x), load3(points, edge.y), sdf[edge.x], sdf[edge.y]));
        edge_ids[first + k] = e;
    }
}

// faces: tetrahedra with one triangle first, then those with two.
KERNEL place_faces(const int2* tet_edges, const uint4* codes, int num_tets, const EdgeWord* words, const int* one_runs,
                   const int* two_runs, const int* sums, int* faces) {
    __shared__ unsigned short chosen[kWarps][kRun];   // of the warp's run: place in it, code << 9
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, run = static_cast<int>(thread_index() / 32);
    if (run >= (num_tets + kRun - 1) / kRun) return;
    const uint4 packed = codes[run * (kRun / 16) + lane];   // of 16 tetrahedra
    const unsigned own[4] = {packed.x, packed.y, packed.z, packed.w};
    unsigned one = 0, two = 0;   // a bit for each
#pragma unroll
    for (int k = 0; k < 16; ++k) {
        const int triangles = marching_triangles(own[k / 4] >> 8 * (k % 4) & 15);
        one |= static_cast<unsigned>(triangles == 1) << k;
        two |= static_cast<unsigned>(triangles == 2) << k;
    }
    int ones, twos;
    int one_place = lanes_before(__popc(one), ones), two_place = ones + lanes_before(__popc(two), twos);
#pragma unroll
    for (int k = 0; k < 16; ++k) {
        const unsigned code = own[k / 4] >> 8 * (k % 4) & 15;
        const unsigned short entry = static_cast<unsigned short>(16 * lane + k | code << 9);
        if (one >> k & 1) chosen[warp][one_place++] = entry;
        if (two >> k & 1) chosen[warp][two_place++] = entry;
    }
    __syncwarp();
    const int one_first = one_runs[run], two_first = sums[1] + 2 * two_runs[run];
    for (int k = lane; k < ones + twos; k += 32) {
        const unsigned entry = chosen[warp][k];
        const int2* row = tet_edges + 3ll * (run * kRun + (entry & (kRun - 1)));
        const int2 a = row[0], b = row[1], c = row[2];
        const int vertex[6] = {a.x, a.y, b.x, b.y, c.x, c.y};
        const int code = entry >> 9;
        int corner[6];
#pragma unroll
        for (int j = 0; j < 6; ++j) {   // no index into registers that varies; unused corners are edge 0
            const int edge = marching_edge(code, j);
            int chosen_edge = vertex[0];
#pragma unroll
            for (int m = 1; m < 6; ++m) chosen_edge = edge == m ? vertex[m] : chosen_edge;
            corner[j] = chosen_edge;
        }
        const bool single = k < ones;
        int* face = faces + 3ll * (single ? one_first + k : two_first + 2 * (k - ones));
        int found[6];
#pragma unroll
        for (int j = 0; j < 6; ++j) found[j] = j < 3 || !single ? vertex_of(words, corner[j]) : 0;
#pragma unroll
        for (int j = 0; j < 6; ++j)
            if (j < 3 || !single) face[j] = found[j];
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
