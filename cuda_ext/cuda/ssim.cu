// SPDX-License-Identifier: Apache-2.0
// SSIM and L1 of two images, and the gradient.  spec: rasterization.md 6.2
// Two sweeps: the first makes the map and its three partial derivatives, the second convolves those back.  A block takes
// a tile, with its surroundings in shared memory; the window is separable, first along rows, then across.
#include "block_sums.cuh"

using namespace milo;

namespace {

constexpr int kReach = 5;   // taps on either side of the centre
constexpr int kTileX = sizeof(Scalar) == 4 ? 32 : 16, kTileY = 16;
constexpr int kRows = kTileY + 2 * kReach, kColumns = kTileX + 2 * kReach;
constexpr Scalar kC1 = Scalar(0.01 * 0.01), kC2 = Scalar(0.03 * 0.03);

// The window is symmetric: weights by distance from the centre.
__device__ constexpr Scalar kWindow[kReach + 1] = {
    Scalar(0.26601171493530273), Scalar(0.21300552785396576), Scalar(0.10936068743467331),
    Scalar(0.036000773310661316), Scalar(0.0075987582094967365), Scalar(0.001028380123898387)};

// sum over taps of window * at(tap), at(0) the centre
template <class At>
__device__ __forceinline__ Scalar windowed(const At& at) {
    Scalar sum = kWindow[0] * at(0);
#pragma unroll
    for (int tap = 1; tap <= kReach; ++tap) sum += kWindow[tap] * (at(-tap) + at(tap));
    return sum;
}

struct Tile {
    int left, top, height, width;
    long long offset;   // of the channel

    __device__ Tile(int height, int width)
        : left(blockIdx.x * kTileX), top(blockIdx.y * kTileY), height(height), width(width),
          offset(static_cast<long long>(blockIdx.z) * height * width) {}

    // Copy the tile and its surroundings, 0 outside the image.
    __device__ void load(const Scalar* image, Scalar (&to)[kRows][kColumns]) const {
        for (int k = threadIdx.y * kTileX + threadIdx.x; k < kRows * kColumns; k += kTileX * kTileY) {
            const int row = top + k / kColumns - kReach, column = left + k % kColumns - kReach;
            const bool inside = row >= 0 && row < height && column >= 0 && column < width;
            to[k / kColumns][k % kColumns] = inside ? image[offset + static_cast<long long>(row) * width + column] : Scalar(0);
        }
    }
};

__device__ double tile_sum(double value) {   // in thread 0
    __shared__ double sums[kTileX * kTileY / 32];
    const int thread = threadIdx.y * kTileX + threadIdx.x;
    value = warp_sum(value);
    if (thread % 32 == 0) sums[thread / 32] = value;
    __syncthreads();
    if (thread) return 0;
    for (int k = 1; k < kTileX * kTileY / 32; ++k) value += sums[k];
    return value;
}

}  // namespace

// image, target [C, H, W] -> derivatives [3, C, H, W] (in the windowed mean, variance and covariance, times ssim_scale;
// not written if null), and of each block its part of l1_scale * sum |image - target| + ssim_scale * sum ssim.
KERNEL image_distance(const Scalar* image, const Scalar* target, int height, int width, double l1_scale,
                      double ssim_scale, Scalar* derivatives, double* partials) {
    __shared__ Scalar x[kRows][kColumns], y[kRows][kColumns], along[5][kRows][kTileX];
    const Tile tile(height, width);
    tile.load(image, x);
    tile.load(target, y);
    __syncthreads();
    const int column = threadIdx.x;
    for (int row = threadIdx.y; row < kRows; row += kTileY) {
        const Scalar *px = &x[row][column + kReach], *py = &y[row][column + kReach];
        along[0][row][column] = windowed([&](int k) { return px[k]; });
        along[1][row][column] = windowed([&](int k) { return py[k]; });
        along[2][row][column] = windowed([&](int k) { return px[k] * px[k]; });
        along[3][row][column] = windowed([&](int k) { return py[k] * py[k]; });
        along[4][row][column] = windowed([&](int k) { return px[k] * py[k]; });
    }
    __syncthreads();
    const int i = tile.left + column, j = tile.top + threadIdx.y, row = threadIdx.y + kReach;
    double sum = 0;
    if (i < width && j < height) {
        Scalar sums[5];
#pragma unroll
        for (int f = 0; f < 5; ++f) sums[f] = windowed([&](int k) { return along[f][row + k][column]; });
        const Scalar m1 = sums[0], m2 = sums[1], squares = m1 * m1 + m2 * m2, product = m1 * m2;
        const Scalar cn = 2 * product + kC1, dn = 2 * (sums[4] - product) + kC2;
        const Scalar inv_a = 1 / (squares + kC1), inv_b = 1 / (sums[2] + sums[3] - squares + kC2);
        const Scalar map = cn * dn * inv_a * inv_b;
        const Scalar difference = x[row][column + kReach] - y[row][column + kReach];
        sum = l1_scale * static_cast<double>(difference < 0 ? -difference : difference) + ssim_scale * map;
        if (derivatives) {
            const Scalar scale = Scalar(ssim_scale);
            const long long count = static_cast<long long>(gridDim.z) * height * width;
            Scalar* d = derivatives + tile.offset + static_cast<long long>(j) * width + i;
            d[0] = 2 * scale * (m2 * (dn - cn) * inv_a * inv_b + m1 * map * (inv_b - inv_a));
            d[count] = -scale * map * inv_b;
            d[2 * count] = 2 * scale * cn * inv_a * inv_b;
        }
    }
    sum = tile_sum(sum);
    if (threadIdx.x == 0 && threadIdx.y == 0)
        partials[(blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x] = sum;
}

// One block: the parts' sum, and offset.
KERNEL sum_distance(const double* partials, int count, double offset, Scalar* distance) {
    double sum[1];
    sum_partials(partials, count, sum);
    if (threadIdx.x == 0) *distance = Scalar(sum[0] + offset);
}

// derivatives [3, C, H, W] of the first kernel, g: of the distance -> grad [C, H, W]
KERNEL image_distance_backward(const Scalar* image, const Scalar* target, const Scalar* derivatives, int height,
                               int width, double l1_scale, const Scalar* g, Scalar* grad) {
    __shared__ Scalar field[kRows][kColumns], along[3][kRows][kTileX];
    const Tile tile(height, width);
    const long long count = static_cast<long long>(gridDim.z) * height * width;
    const int column = threadIdx.x;
    for (int f = 0; f < 3; ++f) {
        __syncthreads();
        tile.load(derivatives + f * count, field);
        __syncthreads();
        for (int row = threadIdx.y; row < kRows; row += kTileY) {
            const Scalar* p = &field[row][column + kReach];
            along[f][row][column] = windowed([&](int k) { return p[k]; });
        }
    }
    __syncthreads();
    const int i = tile.left + column, j = tile.top + threadIdx.y, row = threadIdx.y + kReach;
    if (i >= width || j >= height) return;
    Scalar sums[3];
#pragma unroll
    for (int f = 0; f < 3; ++f) sums[f] = windowed([&](int k) { return along[f][row + k][column]; });
    const long long at = tile.offset + static_cast<long long>(j) * width + i;
    const Scalar x = image[at], y = target[at];
    const Scalar sign = Scalar((x > y) - (x < y));
    grad[at] = *g * (sums[0] + 2 * x * sums[1] + y * sums[2] + Scalar(l1_scale) * sign);
}
