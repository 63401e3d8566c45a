// SPDX-License-Identifier: Apache-2.0
// Sums over a whole launch, the same to the bit each time: every block leaves its own, one block adds them up in order.
#pragma once
#include "common.cuh"

namespace milo {

// Blocks of kSumBlock threads, one-dimensional.  In thread 0: the sums over the block.
constexpr int kSumBlock = 256;

template <int N>
__device__ __forceinline__ void block_sums(double (&values)[N]) {
    __shared__ double warps[N][kSumBlock / 32];
#pragma unroll
    for (int n = 0; n < N; ++n) {
        values[n] = warp_sum(values[n]);
        if (threadIdx.x % 32 == 0) warps[n][threadIdx.x / 32] = values[n];
    }
    __syncthreads();
    if (threadIdx.x) return;
#pragma unroll
    for (int n = 0; n < N; ++n)
        for (int w = 1; w < kSumBlock / 32; ++w) values[n] += warps[n][w];
}

// partials: [blocks, N].
template <int N>
__device__ __forceinline__ void leave_partial(double (&values)[N], double* partials) {
    block_sums(values);
    if (threadIdx.x) return;
#pragma unroll
    for (int n = 0; n < N; ++n) partials[static_cast<long long>(blockIdx.x) * N + n] = values[n];
}

// For a launch of one block: in thread 0, the sums over all partials.
template <int N>
__device__ __forceinline__ void sum_partials(const double* partials, int blocks, double (&values)[N]) {
#pragma unroll
    for (int n = 0; n < N; ++n) values[n] = 0;
    for (int b = threadIdx.x; b < blocks; b += kSumBlock)
#pragma unroll
        for (int n = 0; n < N; ++n) values[n] += partials[static_cast<long long>(b) * N + n];
    block_sums(values);
}

}  // namespace milo
