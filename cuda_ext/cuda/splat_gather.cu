// SPDX-License-Identifier: Apache-2.0
// Backward pass per Gaussian: its slots are added in a fixed order, then carried back to its parameters.
#include "common.cuh"
#include "splat_backward.h"

using namespace milo;

namespace {

using T = Scalar;

struct alignas(4 * sizeof(T)) Four {
    T v[4];
};

}  // namespace

// totals: [N, 16], written for Gaussians with slots.  One warp per Gaussian, nearest first; a lane adds a quarter of
// every eighth slot.
KERNEL add_slots(const long long* order, const int* ends, const int* touched, const Four* slots, int count,
                 Four* totals) {
    constexpr int quarters = kSums / 4;
    const long long k = thread_index() / 32;
    const int lane = threadIdx.x % 32;
    if (k >= count) return;
    const int i = static_cast<int>(order[k]), end = ends[k], begin = end - touched[i];
    if (begin == end) return;
    Four total = {{0, 0, 0, 0}};
#pragma unroll 4
    for (int slot = begin + lane / quarters; slot < end; slot += 32 / quarters) {
        const Four sum = slots[static_cast<long long>(slot) * quarters + lane % quarters];
        for (int c = 0; c < 4; ++c) total.v[c] += sum.v[c];
    }
    for (int step = quarters; step < 32; step *= 2)
        for (int c = 0; c < 4; ++c) total.v[c] += __shfl_xor_sync(kWholeWarp, total.v[c], step);
    if (lane < quarters) totals[static_cast<long long>(i) * quarters + lane] = total;
}

namespace {

template <bool geometry>
__device__ void gaussian_gradients(const Gaussians<T>& g, const int* touched, const T* totals, const T* viewmat,
                                   const T* K, int width, int height, T low_pass, const GaussianGrads<T>& out) {
    const long long i = thread_index();
    if (i >= g.count) return;
    if (touched[i] == 0) return write_no_gradients(out, i, g.rest);
    const Camera<T> camera = make_camera(viewmat, K, width, height);
    T sum[kSums];
    for (int c = 0; c < kSums; ++c) sum[c] = totals[i * kSums + c];
    gaussian_backward<geometry>(camera, camera.centre(), g, low_pass, i, sum, out);
}

}  // namespace

KERNEL geometry_gradients(const T* means, const T* scales, const T* quats, const T* opacities, const T* sh_dc,
                          const T* sh_rest, int count, int rest, int sh_degree, const int* touched, const T* totals,
                          const T* viewmat, const T* K, int width, int height, double low_pass, T* g_means, T* g_scales,
                          T* g_quats, T* g_opacities, T* g_sh_dc, T* g_sh_rest, T* g_screen) {
    const Gaussians<T> g = {count, means, scales, quats, opacities, sh_dc, sh_rest, rest, sh_degree, nullptr};
    gaussian_gradients<true>(g, touched, totals, viewmat, K, width, height, T(low_pass),
                             {g_means, g_scales, g_quats, g_opacities, g_sh_dc, g_sh_rest, g_screen});
}

KERNEL train_gradients(const T* means, const T* scales, const T* quats, const T* opacities, const T* sh_dc,
                       const T* sh_rest, int count, int rest, int sh_degree, const int* touched, const T* totals,
                       const T* viewmat, const T* K, int width, int height, T* g_means, T* g_scales, T* g_quats,
                       T* g_opacities, T* g_sh_dc, T* g_sh_rest, T* g_screen) {
    const Gaussians<T> g = {count, means, scales, quats, opacities, sh_dc, sh_rest, rest, sh_degree, nullptr};
    gaussian_gradients<false>(g, touched, totals, viewmat, K, width, height, T(kTrainLowPass),
                              {g_means, g_scales, g_quats, g_opacities, g_sh_dc, g_sh_rest, g_screen});
}

// sums: [N], of one value a slot.  One thread per Gaussian, nearest first.
KERNEL add_weights(const long long* order, const int* ends, const int* touched, const T* slots, int count, T* sums) {
    const long long k = thread_index();
    if (k >= count) return;
    const int i = static_cast<int>(order[k]), end = ends[k];
    T sum = 0;
    for (int slot = end - touched[i]; slot < end; ++slot) sum += slots[slot];
    sums[i] = sum;
}
