// SPDX-License-Identifier: Apache-2.0
// Backward pass per Gaussian: its slots are added in a fixed order, then carried back to its parameters.
#include "common.cuh"
#include "gof.h"

using namespace milo;

namespace {

using T = Scalar;

struct alignas(4 * sizeof(T)) Four {
    T v[4];
};

}  // namespace

// totals: [N, 16], written for Gaussians with slots.  One warp per Gaussian; a lane adds a quarter of every eighth slot.
KERNEL add_slots(const int* first, const int* touched, const Four* slots, int count, Four* totals) {
    constexpr int quarters = kSums / 4;
    const long long i = thread_index() / 32;
    const int lane = threadIdx.x % 32;
    if (i >= count) return;
    const int begin = first[i], end = begin + touched[i];
    if (begin == end) return;
    Four total = {{0, 0, 0, 0}};
#pragma unroll 4
    for (int slot = begin + lane / quarters; slot < end; slot += 32 / quarters) {
        const Four sum = slots[static_cast<long long>(slot) * quarters + lane % quarters];
        for (int c = 0; c < 4; ++c) total.v[c] += sum.v[c];
    }
    for (int step = quarters; step < 32; step *= 2)
        for (int c = 0; c < 4; ++c) total.v[c] += __shfl_xor_sync(kWholeWarp, total.v[c], step);
    if (lane < quarters) totals[i * quarters + lane] = total;
}

namespace {

template <class Row>
__device__ void copy_rows(Row* to, const Row* from, int size) {
    for (int k = threadIdx.x; k < size; k += blockDim.x) to[k] = from[k];
}

// One thread per Gaussian.  The block's rows of spherical harmonics pass through dynamic shared memory, where their
// gradients take their place: threads that each walk a row of 45 numbers touch a line of memory per number.
template <Raster raster>
__device__ void gaussian_gradients(Gaussians<T> g, const int* touched, const T* totals, const T* viewmat, const T* K,
                                   int width, int height, T low_pass, GaussianGrads<T> out) {
    extern __shared__ __align__(16) char shared[];
    T* const rows = reinterpret_cast<T*>(shared);
    const long long first = static_cast<long long>(blockIdx.x) * blockDim.x, left = g.count - first;
    const int count = static_cast<int>(left < blockDim.x ? left : blockDim.x), local = threadIdx.x;
    if (count <= 0) return;
    const long long offset = 3 * g.rest * first;
    copy_rows(rows, g.sh_rest + offset, 3 * g.rest * count);
    __syncthreads();

    // From here on Gaussians count from the first of the block.
    T* const g_rest = out.sh_rest + offset;
    g = {count, g.means + 3 * first, g.scales + 3 * first, g.quats + 4 * first, g.opacities + first,
         g.sh_dc + 3 * first, rows, g.rest, g.sh_degree, nullptr};
    out = {out.means + 3 * first, out.scales + 3 * first, out.quats + 4 * first, out.opacities + first,
           out.sh_dc + 3 * first, rows, out.screen ? out.screen + 3 * first : nullptr};
    if (local < count && touched[first + local]) {
        const Camera<T> camera = make_camera(viewmat, K, width, height);
        T sum[kSums];
        for (int c = 0; c < kSums; ++c) sum[c] = totals[(first + local) * kSums + c];
        backward_to_gaussian<raster>(camera, camera.centre(), g, low_pass, local, sum, out);
    } else if (local < count) {
        write_no_gradients(out, local, g.rest);
    }
    __syncthreads();
    copy_rows(g_rest, rows, 3 * g.rest * count);
}

}  // namespace

KERNEL geometry_gradients(const T* means, const T* scales, const T* quats, const T* opacities, const T* sh_dc,
                          const T* sh_rest, int count, int rest, int sh_degree, const int* touched, const T* totals,
                          const T* viewmat, const T* K, int width, int height, double low_pass, T* g_means, T* g_scales,
                          T* g_quats, T* g_opacities, T* g_sh_dc, T* g_sh_rest, T* g_screen) {
    const Gaussians<T> g = {count, means, scales, quats, opacities, sh_dc, sh_rest, rest, sh_degree, nullptr};
    gaussian_gradients<Raster::geometry>(g, touched, totals, viewmat, K, width, height, T(low_pass),
                                         {g_means, g_scales, g_quats, g_opacities, g_sh_dc, g_sh_rest, g_screen});
}

KERNEL gof_gradients(const T* means, const T* scales, const T* quats, const T* opacities, const T* sh_dc,
                     const T* sh_rest, int count, int rest, int sh_degree, const int* touched, const T* totals,
                     const T* viewmat, const T* K, int width, int height, double low_pass, T* g_means, T* g_scales,
                     T* g_quats, T* g_opacities, T* g_sh_dc, T* g_sh_rest, T* g_screen) {
    const Gaussians<T> g = {count, means, scales, quats, opacities, sh_dc, sh_rest, rest, sh_degree, nullptr};
    gaussian_gradients<Raster::gof>(g, touched, totals, viewmat, K, width, height, T(low_pass),
                                    {g_means, g_scales, g_quats, g_opacities, g_sh_dc, g_sh_rest, g_screen});
}

KERNEL train_gradients(const T* means, const T* scales, const T* quats, const T* opacities, const T* sh_dc,
                       const T* sh_rest, int count, int rest, int sh_degree, const int* touched, const T* totals,
                       const T* viewmat, const T* K, int width, int height, T* g_means, T* g_scales, T* g_quats,
                       T* g_opacities, T* g_sh_dc, T* g_sh_rest, T* g_screen) {
    const Gaussians<T> g = {count, means, scales, quats, opacities, sh_dc, sh_rest, rest, sh_degree, nullptr};
    gaussian_gradients<Raster::training>(g, touched, totals, viewmat, K, width, height, T(kTrainLowPass),
                                         {g_means, g_scales, g_quats, g_opacities, g_sh_dc, g_sh_rest, g_screen});
}

// sums: [N], of one value a slot.  One thread per Gaussian.
KERNEL add_weights(const int* first, const int* touched, const T* slots, int count, T* sums) {
    const long long i = thread_index();
    if (i >= count) return;
    T sum = 0;
    for (int slot = first[i]; slot < first[i] + touched[i]; ++slot) sum += slots[slot];
    sums[i] = sum;
}
