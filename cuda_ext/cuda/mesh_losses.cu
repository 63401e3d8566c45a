// SPDX-License-Identifier: Apache-2.0
// The losses between the mesh's maps and the Gaussians' depths.  spec: training.md 4.4.  A thread per pixel; only gathers.
// On the way back a block takes a tile, and what its pixels and those around them give to their neighbours is shared.
#include "block_sums.cuh"
#include "mesh_loss.h"

using namespace milo;

#define MAPS                                                                                                      \
    const Scalar *mesh_depth, const Scalar *mesh_normal, const Scalar *median, const Scalar *expected,            \
        const double *K, double median_share, double extent, int height, int width

namespace {

constexpr int kTileX = 32, kTileY = 8;

struct Tile {
    Vec3<Scalar> vertical[kTileY + 2][kTileX + 2], horizontal[kTileY + 2][kTileX + 2];
};

// The normal loss's derivative by the depth of a map at this thread's pixel.  All threads of the block take part.
__device__ Scalar normal_loss_by_depth(const MeshMaps<Scalar>& mesh, const SplatDepths<Scalar>& splats,
                                       const DepthMap<Scalar>& map, Tile& tile) {
    const int left = blockIdx.x * kTileX - 1, top = blockIdx.y * kTileY - 1;
    for (int k = threadIdx.y * kTileX + threadIdx.x; k < (kTileY + 2) * (kTileX + 2); k += kTileX * kTileY) {
        const int row = k / (kTileX + 2), column = k % (kTileX + 2);
        const DifferenceGrads<Scalar> g = normal_loss_differences(mesh, splats, map, left + column, top + row);
        tile.vertical[row][column] = g.vertical;
        tile.horizontal[row][column] = g.horizontal;
    }
    __syncthreads();
    const Scalar derivative = depth_gradient(map, left + 1 + threadIdx.x, top + 1 + threadIdx.y, [&](int x, int y) {
        return DifferenceGrads<Scalar>{tile.vertical[y - top][x - left], tile.horizontal[y - top][x - left]};
    });
    __syncthreads();
    return derivative;
}

}  // namespace

#define THESE_MAPS                                                                                              \
    const long long pixels = static_cast<long long>(height) * width;                                           \
    const MeshMaps<Scalar> mesh{mesh_depth, mesh_normal, pixels};                                              \
    const SplatDepths<Scalar> splats =                                                                         \
        splat_depths(median, expected, static_cast<Scalar>(median_share), pinhole<Scalar>(K), height, width);

// partials [blocks, 2]: sums of the depth loss and of the normal loss.
KERNEL view_loss(MAPS, double* partials) {
    THESE_MAPS
    const long long p = thread_index();
    double sums[2] = {};
    if (p < pixels) {
        const int i = static_cast<int>(p % width), j = static_cast<int>(p / width);
        const ViewLoss<Scalar> loss = view_loss(mesh, splats, static_cast<Scalar>(extent), i, j);
        sums[0] = loss.depth, sums[1] = loss.normal;
    }
    leave_partial(sums, partials);
}

// One block.  terms [2]: the sums times factors.
KERNEL view_loss_terms(const double* partials, int num_partials, double depth_factor, double normal_factor, Scalar* terms) {
    double sums[2];
    sum_partials(partials, num_partials, sums);
    if (threadIdx.x) return;
    terms[0] = static_cast<Scalar>(depth_factor * sums[0]);
    terms[1] = static_cast<Scalar>(normal_factor * sums[1]);
}

// Blocks of kTileX x kTileY.  g_depth, g_normal []: gradients of the two terms.  g_median and g_expected [H, W] may be null.
KERNEL view_loss_backward(MAPS, double depth_factor, double normal_factor, const Scalar* g_depth, const Scalar* g_normal,
                          Scalar* g_mesh_depth, Scalar* g_mesh_normal, Scalar* g_median, Scalar* g_expected) {
    __shared__ Tile tile;
    THESE_MAPS
    const int i = blockIdx.x * kTileX + threadIdx.x, j = blockIdx.y * kTileY + threadIdx.y;
    const bool real = i < width && j < height;
    const long long p = splats.at(i, j);
    const Scalar by_depth = static_cast<Scalar>(depth_factor) * *g_depth;
    const Scalar by_normal = static_cast<Scalar>(normal_factor) * *g_normal;
    Scalar slope = 0;
    if (real) {
        slope = by_depth * depth_loss_slope(mesh, splats, static_cast<Scalar>(extent), i, j);
        const Vec3<Scalar> normal = splats.normal(i, j);
        const Vec3<Scalar> g = by_normal * normal_loss_slope(mesh, p, normal) * normal;
        g_mesh_depth[p] = slope;
        g_mesh_normal[p] = g.x;
        g_mesh_normal[p + pixels] = g.y;
        g_mesh_normal[p + 2 * pixels] = g.z;
    }
    if (g_median) {
        const Scalar derivative = normal_loss_by_depth(mesh, splats, splats.median, tile);
        if (real) g_median[p] = splats.median_share * (by_normal * derivative - slope);
    }
    if (g_expected) {
        const Scalar derivative = normal_loss_by_depth(mesh, splats, splats.expected, tile);
        if (real) g_expected[p] = (1 - splats.median_share) * (by_normal * derivative - slope);
    }
}
