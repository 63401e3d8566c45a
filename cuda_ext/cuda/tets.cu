// SPDX-License-Identifier: Apache-2.0
// Marching tetrahedra over a static edge table.  Spec: training.md, 5.5.
//
// A warp owns a run of kRun edges or tetrahedra.  The classifying kernels leave a bit per crossed edge and a code per
// tetrahedron, and how much each run has; `scan_runs` turns counts into places; then vertices and faces are written where
// they belong, by warps that first gather the few that count, so that no lane idles.  The vertex of a crossed edge is found
// by rank: no table of all edges is written.
#include "common.cuh"
#include "marching.h"

using namespace milo;

namespace {

constexpr int kRun = 512, kWords = kRun / 32, kWarps = 4;   // warps of a block
constexpr unsigned kKept = 16;           // in a code: the first triangle is kept; twice that: the second
constexpr unsigned kSecond = 1u << 13;   // in the list of a run's triangles: the second of its tetrahedron

struct alignas(16) EdgeWord {
    unsigned crossed;   // bit k: edge 32 w + k
    int before;         // crossed edges in earlier words
    unsigned kept;      // crossed edges on which faces may hang
    int unused;
};

__device__ __forceinline__ int positive(const unsigned* signs, int point) { return signs[point >> 5] >> (point & 31) & 1; }

__device__ __forceinline__ int rank_below(unsigned bits, int lane) { return __popc(bits & ((1u << lane) - 1)); }

__device__ __forceinline__ int vertex_of(const EdgeWord* words, int edge) {
    const EdgeWord word = words[edge >> 5];
    return word.before + rank_below(word.crossed, edge & 31);
}

// The edges of a tetrahedron's one or two triangles, from the row of its edges.
__device__ __forceinline__ void triangle_edges(const int2* row, int code, int (&edge)[6]) {
    const int2 a = row[0], b = row[1], c = row[2];
    const int of_tet[6] = {a.x, a.y, b.x, b.y, c.x, c.y};
#pragma unroll
    for (int j = 0; j < 6; ++j) {   // no index into registers that varies; unused corners are edge 0
        const int corner = marching_edge(code, j);
        edge[j] = of_tet[0];
#pragma unroll
        for (int m = 1; m < 6; ++m) edge[j] = corner == m ? of_tet[m] : edge[j];
    }
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

// Which edges are crossed, and which of those are kept; runs [edge runs]: how many are crossed.  radii: null keeps all.
KERNEL classify_edges(const unsigned* signs, const Scalar* points, const Scalar* radii, const int2* edges, int num_edges,
                      EdgeWord* words, int* runs) {
    const int lane = threadIdx.x % 32, run = static_cast<int>(thread_index() / 32);
    if (run >= (num_edges + kRun - 1) / kRun) return;
    int count = 0;
#pragma unroll 4
    for (int w = 0; w < kWords; ++w) {
        const int e = run * kRun + 32 * w + lane;
        bool crossed = false, kept = false;
        if (e < num_edges) {
            const int2 edge = edges[e];
            crossed = positive(signs, edge.x) != positive(signs, edge.y);
            kept = crossed && (!radii || within_radii(load3(points, edge.x), load3(points, edge.y), radii[edge.x],
                                                      radii[edge.y]));
        }
        const unsigned bits = __ballot_sync(kWholeWarp, crossed), kept_bits = __ballot_sync(kWholeWarp, kept);
        if (lane == 0) words[e >> 5] = {bits, 0, kept_bits, 0};
        count += __popc(bits);
    }
    if (lane == 0) runs[run] = count;
}

// codes: the signs of a tetrahedron's corners, and from kKept on a bit for each of its triangles that is kept.
// runs [2 tet runs]: kept triangles of tetrahedra with one; then of those with two.
KERNEL classify_tets(const unsigned* signs, const int4* tets, int num_tets, const int2* tet_edges, const EdgeWord* words,
                     bool filtered, uint4* codes, int* runs) {
    __shared__ __align__(16) unsigned char own[kWarps][kRun];
    __shared__ unsigned short active[kWarps][kRun];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, run = static_cast<int>(thread_index() / 32);
    const int tet_runs = (num_tets + kRun - 1) / kRun;
    if (run >= tet_runs) return;
    int num_active = 0;
#pragma unroll 4
    for (int w = 0; w < kWords; ++w) {
        const int k = 32 * w + lane, t = run * kRun + k;
        int code = 0;
        if (t < num_tets) {
            const int4 v = tets[t];
            code = positive(signs, v.x) | positive(signs, v.y) << 1 | positive(signs, v.z) << 2 |
                   positive(signs, v.w) << 3;
        }
        const int triangles = marching_triangles(code);
        own[warp][k] = static_cast<unsigned char>(code | (triangles > 0 ? kKept : 0) | (triangles > 1 ? 2 * kKept : 0));
        const unsigned bits = __ballot_sync(kWholeWarp, triangles > 0);
        if (triangles) active[warp][num_active + rank_below(bits, lane)] = static_cast<unsigned short>(k);
        num_active += __popc(bits);
    }
    __syncwarp();
    int ones = 0, twos = 0;
    for (int a = lane; a < num_active; a += 32) {
        const int k = active[warp][a], code = own[warp][k] & 15;
        int kept = own[warp][k] / kKept;
        const bool single = kept == 1;
        if (filtered) {
            int edge[6];
            triangle_edges(tet_edges + 3ll * (run * kRun + k), code, edge);
            bool whole[6];
#pragma unroll
            for (int j = 0; j < 6; ++j) whole[j] = words[edge[j] >> 5].kept >> (edge[j] & 31) & 1;
            kept &= (whole[0] & whole[1] & whole[2]) | (whole[3] & whole[4] & whole[5]) << 1;
            own[warp][k] = static_cast<unsigned char>(code | kept * kKept);
        }
        (single ? ones : twos) += __popc(kept);
    }
    __syncwarp();
    codes[run * (kRun / 16) + lane] = reinterpret_cast<const uint4*>(own[warp])[lane];
    ones = warp_sum(ones), twos = warp_sum(twos);
    if (lane == 0) runs[run] = ones, runs[tet_runs + run] = twos;
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

// Also completes the words, for `place_faces`.
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

// faces: those of tetrahedra with one triangle first, then those of tetrahedra with two.
KERNEL place_faces(const int2* tet_edges, const uint4* codes, int num_tets, const EdgeWord* words, const int* runs,
                   const int* sums, int* faces) {
    __shared__ unsigned short chosen[kWarps][2 * kRun];   // triangles: place in the run, code << 9, kSecond
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, run = static_cast<int>(thread_index() / 32);
    const int tet_runs = (num_tets + kRun - 1) / kRun;
    if (run >= tet_runs) return;
    const uint4 packed = codes[run * (kRun / 16) + lane];   // of 16 tetrahedra
    const unsigned own[4] = {packed.x, packed.y, packed.z, packed.w};
    int one_count = 0, two_count = 0;
#pragma unroll
    for (int k = 0; k < 16; ++k) {
        const unsigned byte = own[k / 4] >> 8 * (k % 4);
        (marching_triangles(byte & 15) == 1 ? one_count : two_count) += __popc(byte / kKept & 3);
    }
    int ones, twos;
    int one_place = lanes_before(one_count, ones), two_place = ones + lanes_before(two_count, twos);
#pragma unroll
    for (int k = 0; k < 16; ++k) {
        const unsigned byte = own[k / 4] >> 8 * (k % 4), code = byte & 15, entry = 16 * lane + k | code << 9;
        const bool single = marching_triangles(code) == 1;
        if (byte & kKept) chosen[warp][single ? one_place++ : two_place++] = static_cast<unsigned short>(entry);
        if (byte & 2 * kKept) chosen[warp][two_place++] = static_cast<unsigned short>(entry | kSecond);
    }
    __syncwarp();
    const int one_first = runs[run], two_first = sums[1] + runs[tet_runs + run] - ones;
    for (int k = lane; k < ones + twos; k += 32) {
        const unsigned entry = chosen[warp][k];
        int edge[6];
        triangle_edges(tet_edges + 3ll * (run * kRun + (entry & (kRun - 1))), entry >> 9 & 15, edge);
        int* face = faces + 3ll * ((k < ones ? one_first : two_first) + k);
#pragma unroll
        for (int j = 0; j < 3; ++j) face[j] = vertex_of(words, entry & kSecond ? edge[3 + j] : edge[j]);
    }
}

// Adds to grad_points [P, 3] and grad_sdf [P].  Vertices are in the order of their edges, so that those of one first end
// stand together: they are added up in the warp.
KERNEL march_backward(const Scalar* points, const Scalar* sdf, const int2* edges, const int* edge_ids, int num_verts,
                      const Scalar* grad_verts, Scalar* grad_points, Scalar* grad_sdf) {
    const long long m = thread_index();
    const int lane = threadIdx.x % 32;
    int2 edge = make_int2(-1, -1);
    MarchingGradient<Scalar> grad{};
    if (m < num_verts) {
        edge = edges[edge_ids[m]];
        grad = marching_gradient(load3(points, edge.x), load3(points, edge.y), sdf[edge.x], sdf[edge.y],
                                 load3(grad_verts, m));
        add_atomically(grad_points, edge.y, grad.b);
        atomicAdd(grad_sdf + edge.y, grad.sdf_b);
    }
    Vec3<Scalar> sum = grad.a;
    Scalar sdf_sum = grad.sdf_a;
    for (int step = 1; step < 32; step *= 2) {   // the first lane of a point gets the sum over all that have it
        const int other = __shfl_down_sync(kWholeWarp, edge.x, step);
        const Vec3<Scalar> more{__shfl_down_sync(kWholeWarp, sum.x, step), __shfl_down_sync(kWholeWarp, sum.y, step),
                                __shfl_down_sync(kWholeWarp, sum.z, step)};
        const Scalar sdf_more = __shfl_down_sync(kWholeWarp, sdf_sum, step);
        if (lane + step < 32 && other == edge.x) sum += more, sdf_sum += sdf_more;
    }
    const int before = __shfl_up_sync(kWholeWarp, edge.x, 1);
    if (m >= num_verts || (lane > 0 && before == edge.x)) return;
    add_atomically(grad_points, edge.x, sum);
    atomicAdd(grad_sdf + edge.x, sdf_sum);
}
