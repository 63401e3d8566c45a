// SPDX-License-Identifier: Apache-2.0
// How an image is walked: one warp owns a cell of 8 x 8 pixels, each lane two of them, and reads the cell's list of
// Gaussians, nearest first, 32 at a time through shared memory.  No warp waits for another one.
#pragma once
#include "common.cuh"
#include "splat.h"

namespace milo {

constexpr int kCell = 8;                          // pixels; the unit of binning, a quarter of a tile
constexpr int kCellWarps = 2;                     // warps a block
constexpr int kLanePixels = kCell * kCell / 32;   // lane l: column l % 8, rows l / 8 and l / 8 + 4

// Instances of all cells, each cell's nearest first.  An instance is a pair (Gaussian, cell); its slot is its place in an
// order by Gaussian.
struct Cells {
    const int *begin, *end, *gaussian, *slot;   // [cells] [cells] [instances] [instances]; slot may be null
};

// The pixels of this lane.
struct LanePixels {
    int cell, lane, x, y;   // first pixel; the others lie kCell / kLanePixels rows below each other
    int first, last;        // the cell's instances
    bool inside[kLanePixels];

    __device__ LanePixels(const Cells& cells, int width, int height) {
        const int cells_x = (width + kCell - 1) / kCell, cells_y = (height + kCell - 1) / kCell;
        cell = blockIdx.x * kCellWarps + threadIdx.x / 32;
        lane = threadIdx.x % 32;
        x = cell % cells_x * kCell + lane % kCell;
        y = cell / cells_x * kCell + lane / kCell;
        const bool exists = cell < cells_x * cells_y;
        first = exists ? cells.begin[cell] : 0;
        last = exists ? cells.end[cell] : 0;
        for (int p = 0; p < kLanePixels; ++p) inside[p] = exists && x < width && row(p) < height;
    }
    __device__ int row(int p) const { return y + p * (kCell / kLanePixels); }
    __device__ long long offset(int p, int width) const { return static_cast<long long>(row(p)) * width + x; }
};

// The next 32 splats of a list, seen by the whole warp.  S: Splat, or another record of that size.
template <class S>
struct Stage {
    S splat[32];
    int gaussian[32], slot[32];

    __device__ void fill(const Cells& cells, const S* splats, int first, int last) {
        constexpr int chunks = sizeof(S) / sizeof(float4), at_once = 32 / chunks;
        const int lane = threadIdx.x % 32, count = min(32, last - first);
        const int mine = lane < count ? cells.gaussian[first + lane] : 0;
        __syncwarp();   // all have read the last batch
        gaussian[lane] = mine;
        if (cells.slot) slot[lane] = lane < count ? cells.slot[first + lane] : 0;
        float4* to = reinterpret_cast<float4*>(splat);
        for (int k = 0; k < 32; k += at_once) {
            const int entry = k + lane / chunks, i = __shfl_sync(kWholeWarp, mine, entry);
            if (entry < count) {
                to[entry * chunks + lane % chunks] =
                    reinterpret_cast<const float4*>(splats + i)[lane % chunks];
            }
        }
        __syncwarp();
    }
};

// visit(splat, position, gaussian, slot), nearest first, until `ended()` is true in every lane.
template <class S, class Ended, class Visit>
__device__ __forceinline__ void walk_cell(Stage<S>& stage, const Cells& cells, const S* splats, int first,
                                          int last, Ended ended, Visit visit) {
    for (int batch = first; batch < last; batch += 32) {
        if (__all_sync(kWholeWarp, ended())) return;
        stage.fill(cells, splats, batch, last);
        const int count = min(32, last - batch);
        for (int j = 0; j < count; ++j) visit(stage.splat[j], batch + j, stage.gaussian[j], stage.slot[j]);
    }
}

__device__ __forceinline__ int warp_max(int value) {
    for (int step = 16; step > 0; step /= 2) value = max(value, __shfl_xor_sync(kWholeWarp, value, step));
    return value;
}

// Halves the number of values: a lane hands one half of its values to its partner and adds the partner's other half.
template <int half, class T>
__device__ __forceinline__ void exchange_halves(T (&value)[16]) {
    const bool upper = threadIdx.x & (2 * half);
#pragma unroll
    for (int k = 0; k < half; ++k) {
        const T give = upper ? value[k] : value[k + half], keep = upper ? value[k + half] : value[k];
        value[k] = keep + __shfl_xor_sync(kWholeWarp, give, 2 * half);
    }
}

// Sums of 16 values over the warp in 16 exchanges.  Returns the total of value[lane / 2].
template <class T>
__device__ __forceinline__ T warp_sums(T (&value)[16]) {
    exchange_halves<8>(value);
    exchange_halves<4>(value);
    exchange_halves<2>(value);
    exchange_halves<1>(value);
    return value[0] + __shfl_xor_sync(kWholeWarp, value[0], 1);
}

}  // namespace milo
