// SPDX-License-Identifier: Apache-2.0
// Normals of a depth map.  spec: training.md 4.2.  One thread per pixel; both kernels only gather.
#include "common.cuh"
#include "depth_normal.h"

using namespace milo;

namespace {

struct Map {
    const Scalar* depth;
    Pinhole<Scalar> camera;
    int height, width;

    __device__ bool border(int i, int j) const { return i <= 0 || j <= 0 || i + 1 >= width || j + 1 >= height; }
    __device__ Vec3<Scalar> point(int i, int j) const {
        return back_project(camera, i, j, depth[static_cast<long long>(j) * width + i]);
    }
    __device__ Vec3<Scalar> vertical(int i, int j) const { return point(i, j + 1) - point(i, j - 1); }
    __device__ Vec3<Scalar> horizontal(int i, int j) const { return point(i + 1, j) - point(i - 1, j); }
};

// What pixel (i, j)'s gradient gives to its vertical and its horizontal difference; zero on the border.
__device__ void differences(const Map& map, const Scalar* grad, int i, int j, Vec3<Scalar>& vertical,
                            Vec3<Scalar>& horizontal) {
    vertical = horizontal = {0, 0, 0};
    if (map.border(i, j)) return;
    const long long plane = static_cast<long long>(map.height) * map.width, at = static_cast<long long>(j) * map.width + i;
    neighbour_normal_backward(map.vertical(i, j), map.horizontal(i, j),
                              {grad[at], grad[at + plane], grad[at + 2 * plane]}, vertical, horizontal);
}

}  // namespace

// depth [H, W], K [3, 3] -> normal [3, H, W]
KERNEL depth_normals(const Scalar* depth, const double* K, int height, int width, Scalar* normal) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
    if (i >= width || j >= height) return;
    const Map map{depth, pinhole<Scalar>(K), height, width};
    Vec3<Scalar> n{0, 0, 0};
    if (!map.border(i, j)) n = neighbour_normal(map.vertical(i, j), map.horizontal(i, j));
    const long long plane = static_cast<long long>(height) * width, at = static_cast<long long>(j) * width + i;
    normal[at] = n.x;
    normal[at + plane] = n.y;
    normal[at + 2 * plane] = n.z;
}

// grad [3, H, W] -> grad_depth [H, W].  Each depth takes part in the differences of its four neighbours.
KERNEL depth_normals_backward(const Scalar* depth, const double* K, int height, int width, const Scalar* grad,
                              Scalar* grad_depth) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
    if (i >= width || j >= height) return;
    const Map map{depth, pinhole<Scalar>(K), height, width};
    Vec3<Scalar> sum{0, 0, 0}, vertical, horizontal;
    differences(map, grad, i, j - 1, vertical, horizontal);
    sum = sum + vertical;
    differences(map, grad, i, j + 1, vertical, horizontal);
    sum = sum - vertical;
    differences(map, grad, i - 1, j, vertical, horizontal);
    sum = sum + horizontal;
    differences(map, grad, i + 1, j, vertical, horizontal);
    sum = sum - horizontal;
    grad_depth[static_cast<long long>(j) * width + i] = dot(sum, back_project(map.camera, i, j, Scalar(1)));
}
