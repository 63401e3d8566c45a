// SPDX-License-Identifier: Apache-2.0
// The lists of the cells put in order, nearest first; of equally near Gaussians the one of the lower index.
// spec: rasterization.md 1.9
#include "common.cuh"

using namespace milo;

namespace {

template <class S> struct KeyOf;
template <> struct KeyOf<float> { using Type = int; };
template <> struct KeyOf<double> { using Type = long long; };
using DepthKey = KeyOf<Scalar>::Type;

constexpr int kSortBlock = 128, kChunk = 1024;   // kChunk: what is sorted in shared memory

struct List {
    DepthKey* key;
    int *gaussian, *slot;

    __device__ List from(int first) const { return {key + first, gaussian + first, slot + first}; }
    __device__ bool behind(int a, int b) const {
        return key[a] > key[b] || (key[a] == key[b] && gaussian[a] > gaussian[b]);
    }
    __device__ void order(int low, int high) {
        if (!behind(low, high)) return;
        swap(key, low, high);
        swap(gaussian, low, high);
        swap(slot, low, high);
    }
    template <class V>
    static __device__ void swap(V* values, int a, int b) {
        const V kept = values[a];
        values[a] = values[b];
        values[b] = kept;
    }
};

__device__ void copy(List to, const List& from, int count) {
    for (int k = threadIdx.x; k < count; k += kSortBlock) {
        to.key[k] = from.key[k];
        to.gaussian[k] = from.gaussian[k];
        to.slot[k] = from.slot[k];
    }
}

// A bitonic sorter whose comparisons all point the same way, so that a list of any length sorts as if infinities filled
// it up.  Two sorted halves of runs of `size`: each entry is compared with its mirror image ...
__device__ void mirror_step(List list, int count, int size) {
    for (int t = threadIdx.x; 2 * t < count + size; t += kSortBlock) {
        const int j = t & (size / 2 - 1), low = 2 * (t - j) + j, high = 2 * (t - j) + size - 1 - j;
        if (high < count) list.order(low, high);
    }
    __syncthreads();
}

// ... and then with the one at half the distance, a quarter, ..., 1.
__device__ void distance_steps(List list, int count, int distance, int until) {
    for (; distance >= until; distance /= 2) {
        for (int t = threadIdx.x; 2 * t < count + 2 * distance; t += kSortBlock) {
            const int j = t & (distance - 1), low = 2 * (t - j) + j;
            if (low + distance < count) list.order(low, low + distance);
        }
        __syncthreads();
    }
}

}  // namespace

// One block a cell.
KERNEL sort_cells(const int* begin, const int* end, DepthKey* key_of, int* gaussian_of, int* slot_of) {
    __shared__ DepthKey key[kChunk];
    __shared__ int gaussian[kChunk], slot[kChunk];
    const List chunk = {key, gaussian, slot}, whole = List{key_of, gaussian_of, slot_of}.from(begin[blockIdx.x]);
    const int count = end[blockIdx.x] - begin[blockIdx.x];
    if (count < 2) return;
    for (int first = 0; first < count; first += kChunk) {
        const int here = min(kChunk, count - first);
        copy(chunk, whole.from(first), here);
        __syncthreads();
        for (int size = 2; size < 2 * here; size *= 2) {
            mirror_step(chunk, here, size);
            distance_steps(chunk, here, size / 4, 1);
        }
        copy(whole.from(first), chunk, here);
        __syncthreads();
    }
    for (int size = 2 * kChunk; size < 2 * count; size *= 2) {   // long lists: far steps where they lie
        mirror_step(whole, count, size);
        distance_steps(whole, count, size / 4, kChunk);
        for (int first = 0; first < count; first += kChunk) {
            const int here = min(kChunk, count - first);
            copy(chunk, whole.from(first), here);
            __syncthreads();
            distance_steps(chunk, here, kChunk / 2, 1);
            copy(whole.from(first), chunk, here);
            __syncthreads();
        }
    }
}
