// SPDX-License-Identifier: Apache-2.0
// The geometry raster's pixels, forward and backward.  spec: rasterization.md 1.10, 1.11, 2.2, 2.3
#include "geometry_pixel.h"
#include "splat_backward.h"
#include "splat_cell.cuh"

using namespace milo;

namespace {

using T = Scalar;

// Sums of the gradients of a cell's Gaussians, one row of 16 a slot.  planes: depth and normal have gradients.
// absolute: the sum of absolute values is wanted.  g_alpha_image may be null.
template <bool planes>
__device__ void blend_backward(const Cells& cells, const Splat<T>* splats, const T* viewmat, const T* K, int width,
                               int height, const T* image, const T* expected_image, const T* normal_image,
                               const T* transmittance, const T* normal_length, const int* median_at,
                               const int* drawn_end, const T* g_image, const T* g_alpha_image, const T* g_expected,
                               const T* g_median, const T* g_normal, bool absolute, T* sums) {
    __shared__ Stage<Splat<T>> stages[kCellWarps];
    Stage<Splat<T>>& stage = stages[threadIdx.x / 32];
    const LanePixels at(cells, width, height);
    const Camera<T> camera = make_camera(viewmat, K, width, height);
    const long long pixels = static_cast<long long>(width) * height;

    T light[kLanePixels], remaining[kLanePixels], g_alpha[kLanePixels];
    T g_distance[kLanePixels], g_median_distance[kLanePixels];
    Vec3<T> g_colour[kLanePixels], g_plane[kLanePixels];
    int end[kLanePixels], median[kLanePixels], stop = at.first;
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) {
        light[p] = T(1);
        remaining[p] = g_alpha[p] = g_distance[p] = g_median_distance[p] = T(0);
        g_colour[p] = g_plane[p] = {0, 0, 0};
        end[p] = at.first;
        median[p] = -1;
        if (!at.inside[p]) continue;
        const long long o = at.offset(p, width);
        const T a = T(1) - transmittance[o];
        end[p] = drawn_end[o];
        stop = max(stop, end[p]);
        g_colour[p] = {g_image[o], g_image[o + pixels], g_image[o + 2 * pixels]};
        if (g_alpha_image) g_alpha[p] = g_alpha_image[o];
        // The normalised outputs (expected depth, normal) contribute nothing to the total: scaling all weights together
        // does not change them.
        remaining[p] = dot(g_colour[p], Vec3<T>{image[o], image[o + pixels], image[o + 2 * pixels]}) + g_alpha[p] * a;
        if (planes) {
            const T ray = ray_length(camera, at.x, at.row(p));
            const ExpectedDepthGrad<T> g = expected_depth_backward(g_expected[o], expected_image[o], a, ray);
            g_distance[p] = g.distance;
            g_alpha[p] += g.alpha;
            g_plane[p] = summed_normal_backward(
                {normal_image[o], normal_image[o + pixels], normal_image[o + 2 * pixels]}, normal_length[o],
                {g_normal[o], g_normal[o + pixels], g_normal[o + 2 * pixels]});
            median[p] = median_at[o];
            g_median_distance[p] = g_median[o] / ray;
        }
    }
    stop = warp_max(stop);

    walk_cell(stage, cells, splats, at.first, stop, [] { return false; }, [&](const Splat<T>& splat, int k, int, int slot) {
        const MeanPull<T> pull = make_mean_pull(camera, splat.falloff);
        const T dx = splat.mean.x - T(at.x);
        Vec3<T> colour = {0, 0, 0}, normal = {0, 0, 0};
        T q0 = 0, q1 = 0, q2 = 0, pulled = 0, d0 = 0, d1 = 0;
        bool drawn = false;
#pragma unroll
        for (int p = 0; p < kLanePixels; ++p) {
            const T dy = splat.mean.y - T(at.row(p)), before = light[p];
            const T u = sheared(splat.falloff, dx, dy);
            const BlendStep<T> step = blend_step(power(splat.falloff, u, dy), before);
            const T w = step.weight;
            if (k >= end[p] || !step.drawn) continue;
            drawn = true;
            light[p] = step.transmittance;
            T value = dot(splat.colour, g_colour[p]) + g_alpha[p];
            colour += w * g_colour[p];
            if (planes) {
                value += splat_distance(splat, dx, dy) * g_distance[p] + dot(splat.normal, g_plane[p]);
                normal += w * g_plane[p];
                const T d = w * g_distance[p] + (k == median[p] ? g_median_distance[p] : T(0));
                d0 += d;
                d1 += d * dy;
            }
            remaining[p] -= w * value;
            const T q = step.unclamped * alpha_gradient(step, before, value, remaining[p]);
            q0 += q;
            q1 += q * dy;
            q2 += q * dy * dy;
            if (absolute) pulled += magnitude(q) * pull.size(u, dy);
        }
        T total = 0;
        if (__any_sync(kWholeWarp, drawn)) {
            T sum[kSums];
            sum[kSumColour] = colour.x, sum[kSumColour + 1] = colour.y, sum[kSumColour + 2] = colour.z;
            sum[kSumQ] = q0, sum[kSumQx] = q0 * dx, sum[kSumQy] = q1;
            sum[kSumQxx] = q0 * dx * dx, sum[kSumQxy] = q1 * dx, sum[kSumQyy] = q2;
            sum[kSumAbs] = pulled;
            sum[kSumD] = d0, sum[kSumDx] = d0 * dx, sum[kSumDy] = d1;
            sum[kSumNormal] = normal.x, sum[kSumNormal + 1] = normal.y, sum[kSumNormal + 2] = normal.z;
            total = warp_sums(sum);
        }
        if (at.lane % 2 == 0) sums[static_cast<long long>(slot) * kSums + at.lane / 2] = total;
    });
    for (int k = stop + at.lane / 16; k < at.last; k += 2)   // behind everything that was drawn
        sums[static_cast<long long>(cells.slot[k]) * kSums + at.lane % 16] = T(0);
}

}  // namespace

// drawn_end: [H, W] one past the last instance drawn.  median_at: [H, W] the instance, -1 for none.
KERNEL blend_geometry(Cells cells, const Splat<T>* splats, const T* viewmat, const T* K, const T* background, int width,
                      int height, T* image, T* alpha, T* expected, T* median, T* normal, T* transmittance,
                      T* normal_length, int* median_at, int* drawn_end) {
    __shared__ Stage<Splat<T>> stages[kCellWarps];
    const LanePixels at(cells, width, height);
    const Camera<T> camera = make_camera(viewmat, K, width, height);
    T light[kLanePixels], distance[kLanePixels], median_distance[kLanePixels];
    Vec3<T> colour[kLanePixels], n[kLanePixels];
    int middle[kLanePixels], end[kLanePixels];
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) {
        light[p] = at.inside[p] ? T(1) : T(-1);
        distance[p] = median_distance[p] = T(0);
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
    walk_cell(stages[threadIdx.x / 32], cells, splats, at.first, at.last, ended,
              [&](const Splat<T>& splat, int k, int, int) {
        const T dx = splat.mean.x - T(at.x);
#pragma unroll
        for (int p = 0; p < kLanePixels; ++p) {
            const T dy = splat.mean.y - T(at.row(p)), before = light[p];
            const BlendStep<T> step = blend_step(power(splat.falloff, sheared(splat.falloff, dx, dy), dy), before);
            light[p] = step.transmittance;
            if (!step.drawn) continue;
            const T d = splat_distance(splat, dx, dy);
            colour[p] += step.weight * splat.colour;
            distance[p] += step.weight * d;
            n[p] += step.weight * splat.normal;
            end[p] = k + 1;
            if (before > T(0.5)) {
                middle[p] = k;
                median_distance[p] = d;
            }
        }
    });
    const long long pixels = static_cast<long long>(width) * height;
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) {
        if (!at.inside[p]) continue;
        const long long o = at.offset(p, width);
        const T t = magnitude(light[p]), a = T(1) - t, ray = ray_length(camera, at.x, at.row(p));
        const T n_length = length(n[p]), n_inverse = T(1) / larger(n_length, T(kNormalFloor));
        image[o] = colour[p].x + t * background[0];
        image[o + pixels] = colour[p].y + t * background[1];
        image[o + 2 * pixels] = colour[p].z + t * background[2];
        alpha[o] = a;
        expected[o] = expected_depth(distance[p], a, ray);
        median[o] = median_distance[p] / ray;
        normal[o] = n[p].x * n_inverse;
        normal[o + pixels] = n[p].y * n_inverse;
        normal[o + 2 * pixels] = n[p].z * n_inverse;
        transmittance[o] = t;
        normal_length[o] = n_length;
        median_at[o] = middle[p];
        drawn_end[o] = end[p];
    }
}

KERNEL blend_geometry_backward(Cells cells, const Splat<T>* splats, const T* viewmat, const T* K, int width, int height,
                               const T* image, const T* expected, const T* normal, const T* transmittance,
                               const T* normal_length, const int* median_at, const int* drawn_end, const T* g_image,
                               const T* g_alpha, const T* g_expected, const T* g_median, const T* g_normal,
                               bool absolute, T* sums) {
    blend_backward<true>(cells, splats, viewmat, K, width, height, image, expected, normal, transmittance,
                         normal_length, median_at, drawn_end, g_image, g_alpha, g_expected, g_median, g_normal, absolute,
                         sums);
}

// As above, without gradients of depth and normal.
KERNEL blend_colour_backward(Cells cells, const Splat<T>* splats, const T* viewmat, const T* K, int width, int height,
                             const T* image, const T* transmittance, const int* drawn_end, const T* g_image,
                             const T* g_alpha, bool absolute, T* sums) {
    blend_backward<false>(cells, splats, viewmat, K, width, height, image, nullptr, nullptr, transmittance, nullptr,
                          nullptr, drawn_end, g_image, g_alpha, nullptr, nullptr, nullptr, absolute, sums);
}
