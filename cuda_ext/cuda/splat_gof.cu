// SPDX-License-Identifier: Apache-2.0
// The GOF raster's pixels, forward and backward.  spec: rasterization.md 1.10, 1.11, 3.2, 3.3
#include "geometry_pixel.h"
#include "gof.h"
#include "splat_cell.cuh"

using namespace milo;

namespace {

using T = Scalar;

// Slopes of a pixel's ray.
__device__ T slope_x(const Camera<T>& camera, int x) { return (T(x) + T(0.5) - camera.cx) / camera.fx; }
__device__ T slope_y(const Camera<T>& camera, int y) { return (T(y) + T(0.5) - camera.cy) / camera.fy; }

// Sums of the gradients of a cell's Gaussians, one row of 16 a slot.  planes: depth and normal have gradients.
// absolute: the screen-space statistic is wanted.  g_alpha_image may be null.
template <bool planes>
__device__ void blend_backward(const Cells& cells, const GofSplat<T>* splats, const T* viewmat, const T* K, int width,
                               int height, T near_plane, const T* image, const T* normal_image, const T* transmittance,
                               const T* normal_length, const int* median_at, const int* drawn_end, const T* g_image,
                               const T* g_alpha_image, const T* g_depth_image, const T* g_normal_image, bool absolute,
                               T* sums) {
    __shared__ Stage<GofSplat<T>> stages[kCellWarps];
    const LanePixels at(cells, width, height);
    const Camera<T> camera = make_camera(viewmat, K, width, height);
    const long long pixels = static_cast<long long>(width) * height;

    T light[kLanePixels], remaining[kLanePixels], g_alpha[kLanePixels], g_depth[kLanePixels];
    Vec3<T> g_colour[kLanePixels], g_plane[kLanePixels];
    int end[kLanePixels], median[kLanePixels], stop = at.first;
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) {
        light[p] = T(1);
        remaining[p] = g_alpha[p] = g_depth[p] = T(0);
        g_colour[p] = g_plane[p] = {0, 0, 0};
        end[p] = at.first;
        median[p] = -1;
        if (!at.inside[p]) continue;
        const long long o = at.offset(p, width);
        end[p] = drawn_end[o];
        stop = max(stop, end[p]);
        g_colour[p] = {g_image[o], g_image[o + pixels], g_image[o + 2 * pixels]};
        if (g_alpha_image) g_alpha[p] = g_alpha_image[o];
        // The normal contributes nothing to the total: scaling all weights together does not change it.
        remaining[p] = dot(g_colour[p], Vec3<T>{image[o], image[o + pixels], image[o + 2 * pixels]}) +
                       g_alpha[p] * (T(1) - transmittance[o]);
        if (planes) {
            g_plane[p] = summed_normal_backward(
                {normal_image[o], normal_image[o + pixels], normal_image[o + 2 * pixels]}, normal_length[o],
                {g_normal_image[o], g_normal_image[o + pixels], g_normal_image[o + 2 * pixels]});
            median[p] = median_at[o];
            g_depth[p] = g_depth_image[o];
        }
    }
    stop = warp_max(stop);
    const T X = slope_x(camera, at.x);

    walk_cell(stages[threadIdx.x / 32], cells, splats, at.first, stop, [] { return false; },
              [&](const GofSplat<T>& splat, int k, int, int slot) {
        const T dx = splat.mean.x - T(at.x);
        T sum[kSums] = {};
        bool drawn = false;
#pragma unroll
        for (int p = 0; p < kLanePixels; ++p) {
            const T dy = splat.mean.y - T(at.row(p)), before = light[p], Y = slope_y(camera, at.row(p));
            const GofRay<T> ray = gof_ray(splat, dx, dy);
            const BlendStep<T> step = blend_step(gof_power(splat, ray, near_plane), before);
            if (k >= end[p] || !step.drawn) continue;
            drawn = true;
            const T w = step.weight;
            light[p] = step.transmittance;
            T value = dot(splat.colour, g_colour[p]) + g_alpha[p];
            sum[kSumColour] += w * g_colour[p].x;
            sum[kSumColour + 1] += w * g_colour[p].y;
            sum[kSumColour + 2] += w * g_colour[p].z;
            GofNormal<T> normal = {0, 0, 0, 0};
            if (planes) {
                normal = gof_normal(camera, splat, ray, X, Y);
                value += normal.x * g_plane[p].x + normal.y * g_plane[p].y + normal.z * g_plane[p].z;
            }
            remaining[p] -= w * value;
            const T q = step.unclamped * alpha_gradient(step, before, value, remaining[p]);
            sum[kSumQ] += q;
            if (absolute) {
                sum[kSumQx] += q * dx;
                sum[kSumQy] += q * dy;
                sum[kSumAbs] += magnitude(q) * gof_pull(camera, splat, dx, dy);
            }
            const T g_normal[3] = {w * g_plane[p].x, w * g_plane[p].y, w * g_plane[p].z};
            const GofPixelGrad<T> g = gof_backward<planes>(camera, splat, ray, q, k == median[p] ? g_depth[p] : T(0),
                                                           normal, g_normal, X, Y);
#pragma unroll
            for (int c = 0; c < 3; ++c) sum[kGofMean + c] += g.mean[c];
#pragma unroll
            for (int c = 0; c < 6; ++c) sum[kGofMetric + c] += g.metric[c];
        }
        const T total = __any_sync(kWholeWarp, drawn) ? warp_sums(sum) : T(0);
        if (at.lane % 2 == 0) sums[static_cast<long long>(slot) * kSums + at.lane / 2] = total;
    });
    for (int k = stop + at.lane / 16; k < at.last; k += 2)   // behind everything that was drawn
        sums[static_cast<long long>(cells.slot[k]) * kSums + at.lane % 16] = T(0);
}

}  // namespace

// drawn_end: [H, W] one past the last instance drawn.  median_at: [H, W] the instance, -1 for none.
KERNEL blend_gof(Cells cells, const GofSplat<T>* splats, const T* viewmat, const T* K, const T* background, int width,
                 int height, double near_plane, T* image, T* alpha, T* depth, T* normal, T* transmittance,
                 T* normal_length, int* median_at, int* drawn_end) {
    __shared__ Stage<GofSplat<T>> stages[kCellWarps];
    const LanePixels at(cells, width, height);
    const Camera<T> camera = make_camera(viewmat, K, width, height);
    T light[kLanePixels], median[kLanePixels];
    Vec3<T> colour[kLanePixels], n[kLanePixels];
    int middle[kLanePixels], end[kLanePixels];
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) {
        light[p] = at.inside[p] ? T(1) : T(-1);
        median[p] = T(0);
        colour[p] = n[p] = {0, 0, 0};
        middle[p] = -1;
        end[p] = at.first;
    }
    const auto ended = [&] {
        bool all = true;
#pragma unroll
        for (int p = 0; p < kLanePixels; ++p) all = all && light[p] < T(0);
        return all;
    };
    const T X = slope_x(camera, at.x);
    walk_cell(stages[threadIdx.x / 32], cells, splats, at.first, at.last, ended,
              [&](const GofSplat<T>& splat, int k, int, int) {
        const T dx = splat.mean.x - T(at.x);
#pragma unroll
        for (int p = 0; p < kLanePixels; ++p) {
            const T before = light[p];
            const GofRay<T> ray = gof_ray(splat, dx, splat.mean.y - T(at.row(p)));
            const BlendStep<T> step = blend_step(gof_power(splat, ray, T(near_plane)), before);
            light[p] = step.transmittance;
            if (!step.drawn) continue;
            const GofNormal<T> facing = gof_normal(camera, splat, ray, X, slope_y(camera, at.row(p)));
            colour[p] += step.weight * splat.colour;
            n[p] += step.weight * Vec3<T>{facing.x, facing.y, facing.z};
            end[p] = k + 1;
            if (before > T(0.5)) {
                middle[p] = k;
                median[p] = splat.depth * ray.along;
            }
        }
    });
    const long long pixels = static_cast<long long>(width) * height;
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) {
        if (!at.inside[p]) continue;
        const long long o = at.offset(p, width);
        const T t = magnitude(light[p]);
        const T n_length = length(n[p]), n_inverse = T(1) / larger(n_length, T(kNormalFloor));
        image[o] = colour[p].x + t * background[0];
        image[o + pixels] = colour[p].y + t * background[1];
        image[o + 2 * pixels] = colour[p].z + t * background[2];
        alpha[o] = T(1) - t;
        depth[o] = median[p];
        normal[o] = n[p].x * n_inverse;
        normal[o + pixels] = n[p].y * n_inverse;
        normal[o + 2 * pixels] = n[p].z * n_inverse;
        transmittance[o] = t;
        normal_length[o] = n_length;
        median_at[o] = middle[p];
        drawn_end[o] = end[p];
    }
}

KERNEL blend_gof_backward(Cells cells, const GofSplat<T>* splats, const T* viewmat, const T* K, int width, int height,
                          double near_plane, const T* image, const T* normal, const T* transmittance,
                          const T* normal_length, const int* median_at, const int* drawn_end, const T* g_image,
                          const T* g_alpha, const T* g_depth, const T* g_normal, bool absolute, T* sums) {
    blend_backward<true>(cells, splats, viewmat, K, width, height, T(near_plane), image, normal, transmittance,
                         normal_length, median_at, drawn_end, g_image, g_alpha, g_depth, g_normal, absolute, sums);
}

// As above, without gradients of depth and normal.
KERNEL blend_gof_colour_backward(Cells cells, const GofSplat<T>* splats, const T* viewmat, const T* K, int width,
                                 int height, double near_plane, const T* image, const T* transmittance,
                                 const int* drawn_end, const T* g_image, const T* g_alpha, bool absolute, T* sums) {
    blend_backward<false>(cells, splats, viewmat, K, width, height, T(near_plane), image, nullptr, transmittance, nullptr,
                          nullptr, drawn_end, g_image, g_alpha, nullptr, nullptr, absolute, sums);
}
