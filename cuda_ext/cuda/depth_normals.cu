// SPDX-License-Identifier: Apache-2.0
// Normals of a depth map, and how far rendered normals are from them.  spec: training.md 4.2.  One thread per pixel;
// all kernels only gather.
#include "block_sums.cuh"
#include "depth_normal.h"

using namespace milo;

namespace {

// Gradient of a depth; grad(i, j) is that of the normal at a pixel.
template <class Gradient>
__device__ Scalar depth_gradient_of(const DepthMap<Scalar>& map, int i, int j, const Gradient& grad) {
    return depth_gradient(map, i, j, [&](int x, int y) {
        return map.inside(x, y) ? difference_gradients(map, x, y, grad(x, y))
                                : DifferenceGrads<Scalar>{{0, 0, 0}, {0, 0, 0}};
    });
}

__device__ Vec3<Scalar> plane3(const Scalar* planes, long long at, long long size) {
    return {planes[at], planes[at + size], planes[at + 2 * size]};
}

__device__ void set_plane3(Scalar* planes, long long at, long long size, Vec3<Scalar> value) {
    planes[at] = value.x;
    planes[at + size] = value.y;
    planes[at + 2 * size] = value.z;
}

}  // namespace

// depth [H, W], K [3, 3] -> normal [3, H, W]
KERNEL depth_normals(const Scalar* depth, const double* K, int height, int width, Scalar* normal) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
    if (i >= width || j >= height) return;
    const DepthMap<Scalar> map{depth, pinhole<Scalar>(K), height, width};
    set_plane3(normal, map.at(i, j), static_cast<long long>(height) * width, map.normal(i, j));
}

// grad [3, H, W] -> grad_depth [H, W]
KERNEL depth_normals_backward(const Scalar* depth, const double* K, int height, int width, const Scalar* grad,
                              Scalar* grad_depth) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
    if (i >= width || j >= height) return;
    const DepthMap<Scalar> map{depth, pinhole<Scalar>(K), height, width};
    const long long plane = static_cast<long long>(height) * width;
    grad_depth[map.at(i, j)] =
        depth_gradient_of(map, i, j, [&](int x, int y) { return plane3(grad, map.at(x, y), plane); });
}

// Blocks of kSumBlock.  Of each block its part of sum normal . ((1 - share) n(median) + share n(expected)).
KERNEL normal_agreement(const Scalar* normal, const Scalar* median, const Scalar* expected, const double* K, int height,
                        int width, Scalar share, double* partials) {
    const long long at = thread_index(), plane = static_cast<long long>(height) * width;
    double sum[1] = {0};
    if (at < plane) {
        const int i = static_cast<int>(at % width), j = static_cast<int>(at / width);
        const Pinhole<Scalar> camera = pinhole<Scalar>(K);
        const DepthMap<Scalar> a{median, camera, height, width}, b{expected, camera, height, width};
        const Vec3<Scalar> n = (Scalar(1) - share) * a.normal(i, j) + share * b.normal(i, j);
        sum[0] = dot(plane3(normal, at, plane), n);
    }
    leave_partial(sum, partials);
}

// One block: offset + scale * the parts' sum.
KERNEL sum_agreement(const double* partials, int count, double scale, double offset, Scalar* loss) {
    double sum[1];
    sum_partials(partials, count, sum);
    if (threadIdx.x == 0) *loss = Scalar(offset + scale * sum[0]);
}

// scale: of the sum in the loss; g: of the loss.
KERNEL normal_agreement_backward(const Scalar* normal, const Scalar* median, const Scalar* expected, const double* K,
                                 int height, int width, Scalar share, Scalar scale, const Scalar* g, Scalar* grad_normal,
                                 Scalar* grad_median, Scalar* grad_expected) {
    const long long at = thread_index(), plane = static_cast<long long>(height) * width;
    if (at >= plane) return;
    const int i = static_cast<int>(at % width), j = static_cast<int>(at / width);
    const Pinhole<Scalar> camera = pinhole<Scalar>(K);
    const DepthMap<Scalar> a{median, camera, height, width}, b{expected, camera, height, width};
    const Scalar of_b = *g * scale * share, of_a = *g * scale - of_b;
    set_plane3(grad_normal, at, plane, of_a * a.normal(i, j) + of_b * b.normal(i, j));
    const auto normal_at = [&](int x, int y) { return plane3(normal, a.at(x, y), plane); };
    grad_median[at] = of_a * depth_gradient_of(a, i, j, normal_at);
    grad_expected[at] = of_b * depth_gradient_of(b, i, j, normal_at);
}
