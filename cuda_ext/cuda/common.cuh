// SPDX-License-Identifier: Apache-2.0
// What all kernels share.  Every kernel is a `KERNEL name(arguments) { ... }`; Scalar is float or double.
#pragma once
#include "vec.h"

#define KERNEL extern "C" __global__ void

namespace milo {

using Scalar = MILO_SCALAR;

constexpr unsigned kWholeWarp = 0xffffffffu;

// Index of this thread in a one-dimensional launch.
__device__ __forceinline__ long long thread_index() {
    return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
}

template <class T>
__device__ __forceinline__ T warp_sum(T value) {   // in every lane
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kWholeWarp, value, step);
    return value;
}

template <class T>
__device__ __forceinline__ void add_atomically(T* vertices, long long index, Vec3<T> value) {
    atomicAdd(vertices + 3 * index, value.x);
    atomicAdd(vertices + 3 * index + 1, value.y);
    atomicAdd(vertices + 3 * index + 2, value.z);
}

template <class T>
__device__ __forceinline__ Vec3<T> load3(const T* rows, long long index) {
    return {rows[3 * index], rows[3 * index + 1], rows[3 * index + 2]};
}

template <class T>
__device__ __forceinline__ void store3(T* rows, long long index, Vec3<T> value) {
    rows[3 * index] = value.x;
    rows[3 * index + 1] = value.y;
    rows[3 * index + 2] = value.z;
}

// viewmat: [4, 4] world to camera, row-major.
template <class T, class S>
__device__ __forceinline__ RigidMotion<T> rigid_motion(const S* viewmat) {
    RigidMotion<T> motion;
    for (int r = 0; r < 3; ++r) {
        motion.rows[r] = {T(viewmat[4 * r]), T(viewmat[4 * r + 1]), T(viewmat[4 * r + 2])};
    }
    motion.shift = {T(viewmat[3]), T(viewmat[7]), T(viewmat[11])};
    return motion;
}

// K: [3, 3] pixels, row-major.
template <class T, class S>
__device__ __forceinline__ Pinhole<T> pinhole(const S* K) {
    return {T(K[0]), T(K[4]), T(K[2]), T(K[5])};
}

}  // namespace milo
