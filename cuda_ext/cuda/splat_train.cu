// SPDX-License-Identifier: Apache-2.0
// The training raster's pixels: colour and its gradient, who owns the pixels, statistics, depth.
// spec: rasterization.md 1.10, 1.11, 5
#include "splat_backward.h"
#include "splat_cell.cuh"

using namespace milo;

namespace {

using T = Scalar;

// The Gaussian of the largest weight; the first of equal ones stays.
struct Owner {
    T weight = 0;
    int gaussian = -1;

    __device__ void meet(T w, int i) {
        if (!(w > weight)) return;
        weight = w;
        gaussian = i;
    }
};

__device__ bool all_ended(const T (&light)[kLanePixels]) {
    bool all = true;
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) all = all && light[p] < T(0);
    return all;
}

}  // namespace

// area_max: [N] zeros, pixels in which the Gaussian has the largest weight.  drawn_end: [H, W] one past the last
// instance drawn.
KERNEL blend_train(Cells cells, const Splat<T>* splats, const T* background, int width, int height, T* image,
                   int* drawn_end, int* area_max) {
    __shared__ Stage<Splat<T>> stages[kCellWarps];
    const LanePixels at(cells, width, height);
    T light[kLanePixels];
    Vec3<T> colour[kLanePixels];
    Owner owner[kLanePixels];
    int end[kLanePixels];
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) {
        light[p] = at.inside[p] ? T(1) : T(-1);
        colour[p] = {0, 0, 0};
        end[p] = at.first;
    }
    walk_cell(stages[threadIdx.x / 32], cells, splats, at.first, at.last, [&] { return all_ended(light); },
              [&](const Splat<T>& splat, int k, int i, int) {
        const T dx = splat.mean.x - T(at.x);
#pragma unroll
        for (int p = 0; p < kLanePixels; ++p) {
            const T dy = splat.mean.y - T(at.row(p));
            const BlendStep<T> step = blend_step(power(splat.falloff, sheared(splat.falloff, dx, dy), dy), light[p]);
            light[p] = step.transmittance;
            if (!step.drawn) continue;
            colour[p] += step.weight * splat.colour;
            owner[p].meet(step.weight, i);
            end[p] = k + 1;
        }
    });
    const long long pixels = static_cast<long long>(width) * height;
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) {
        if (!at.inside[p]) continue;
        const long long o = at.offset(p, width);
        const T t = magnitude(light[p]);
        image[o] = colour[p].x + t * background[0];
        image[o + pixels] = colour[p].y + t * background[1];
        image[o + 2 * pixels] = colour[p].z + t * background[2];
        drawn_end[o] = end[p];
        if (owner[p].gaussian >= 0) atomicAdd(area_max + owner[p].gaussian, 1);
    }
}

// Sums of the gradients of a cell's Gaussians, one row of 16 a slot.
KERNEL blend_train_backward(Cells cells, const Splat<T>* splats, int width, int height, const T* image,
                            const int* drawn_end, const T* g_image, T* sums) {
    __shared__ Stage<Splat<T>> stages[kCellWarps];
    const LanePixels at(cells, width, height);
    const long long pixels = static_cast<long long>(width) * height;
    T light[kLanePixels], remaining[kLanePixels];
    Vec3<T> g_colour[kLanePixels];
    int end[kLanePixels], stop = at.first;
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) {
        light[p] = T(1);
        remaining[p] = T(0);
        g_colour[p] = {0, 0, 0};
        end[p] = at.first;
        if (!at.inside[p]) continue;
        const long long o = at.offset(p, width);
        end[p] = drawn_end[o];
        stop = max(stop, end[p]);
        g_colour[p] = {g_image[o], g_image[o + pixels], g_image[o + 2 * pixels]};
        remaining[p] = dot(g_colour[p], Vec3<T>{image[o], image[o + pixels], image[o + 2 * pixels]});
    }
    stop = warp_max(stop);

    walk_cell(stages[threadIdx.x / 32], cells, splats, at.first, stop, [] { return false; },
              [&](const Splat<T>& splat, int k, int, int slot) {
        const T dx = splat.mean.x - T(at.x);
        Vec3<T> colour = {0, 0, 0};
        T q0 = 0, q1 = 0, q2 = 0, moved0 = 0, moved1 = 0;
        bool drawn = false;
#pragma unroll
        for (int p = 0; p < kLanePixels; ++p) {
            const T dy = splat.mean.y - T(at.row(p)), before = light[p];
            const BlendStep<T> step = blend_step(power(splat.falloff, sheared(splat.falloff, dx, dy), dy), before);
            if (k >= end[p] || !step.drawn) continue;
            drawn = true;
            light[p] = step.transmittance;
            const T value = dot(splat.colour, g_colour[p]);
            colour += step.weight * g_colour[p];
            remaining[p] -= step.weight * value;
            const T moved = step.unclamped * alpha_gradient(step, before, value, remaining[p]);
            // A saturated alpha passes gradient to the position alone (quirk Q7).
            const T q = step.unclamped > T(kAlphaMax) ? T(0) : moved;
            moved0 += moved;
            moved1 += moved * dy;
            q0 += q;
            q1 += q * dy;
            q2 += q * dy * dy;
        }
        T total = 0;
        if (__any_sync(kWholeWarp, drawn)) {
            T sum[kSums] = {colour.x, colour.y, colour.z, q0, moved0 * dx, moved1, q0 * dx * dx, q1 * dx, q2};
            total = warp_sums(sum);
        }
        if (at.lane % 2 == 0) sums[static_cast<long long>(slot) * kSums + at.lane / 2] = total;
    });
    for (int k = stop + at.lane / 16; k < at.last; k += 2)   // behind everything that was drawn
        sums[static_cast<long long>(cells.slot[k]) * kSums + at.lane % 16] = T(0);
}

// weights: one a slot, zeros before.  area_proj, area_max: [N] zeros before, pixels drawn on and owned.
KERNEL blend_stats(Cells cells, const Splat<T>* splats, int width, int height, T* weights, int* area_proj,
                   int* area_max) {
    __shared__ Stage<Splat<T>> stages[kCellWarps];
    const LanePixels at(cells, width, height);
    T light[kLanePixels];
    Owner owner[kLanePixels];
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) light[p] = at.inside[p] ? T(1) : T(-1);
    walk_cell(stages[threadIdx.x / 32], cells, splats, at.first, at.last, [&] { return all_ended(light); },
              [&](const Splat<T>& splat, int, int i, int slot) {
        const T dx = splat.mean.x - T(at.x);
        T weight = 0;
        int drawn = 0;
#pragma unroll
        for (int p = 0; p < kLanePixels; ++p) {
            const T dy = splat.mean.y - T(at.row(p));
            const BlendStep<T> step = blend_step(power(splat.falloff, sheared(splat.falloff, dx, dy), dy), light[p]);
            light[p] = step.transmittance;
            weight += step.weight;
            drawn += __popc(__ballot_sync(kWholeWarp, step.drawn));
            owner[p].meet(step.weight, i);
        }
        if (drawn == 0) return;
        weight = warp_sum(weight);
        if (at.lane == 0) {
            weights[slot] = weight;
            atomicAdd(area_proj + i, drawn);
        }
    });
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p)
        if (owner[p].gaussian >= 0) atomicAdd(area_max + owner[p].gaussian, 1);
}

// The splats' normals hold the b of their depth peaks.
KERNEL blend_depth(Cells cells, const Splat<T>* splats, const T* means, const T* scales, const T* quats, int count,
                   const T* viewmat, const T* K, int width, int height, int* index, T* points, T* depth,
                   T* transmittance) {
    __shared__ Stage<Splat<T>> stages[kCellWarps];
    const LanePixels at(cells, width, height);
    const Camera<T> camera = make_camera(viewmat, K, width, height);
    T light[kLanePixels];
    Owner owner[kLanePixels];
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) light[p] = at.inside[p] ? T(1) : T(-1);
    walk_cell(stages[threadIdx.x / 32], cells, splats, at.first, at.last, [&] { return all_ended(light); },
              [&](const Splat<T>& splat, int, int i, int) {
        const T dx = splat.mean.x - T(at.x);
#pragma unroll
        for (int p = 0; p < kLanePixels; ++p) {
            const T dy = splat.mean.y - T(at.row(p));
            const BlendStep<T> step = blend_step(power(splat.falloff, sheared(splat.falloff, dx, dy), dy), light[p]);
            // Densest behind the camera: not counted, and it takes no light (quirk Q12).
            const bool in_front = dot(splat.normal, pixel_direction(camera, at.x, at.row(p))) >= T(0);
            if (in_front || step.transmittance < T(0)) light[p] = step.transmittance;
            if (in_front) owner[p].meet(step.weight, i);
        }
    });
    const long long pixels = static_cast<long long>(width) * height;
    const Gaussians<T> g = {count, means, scales, quats, nullptr, nullptr, nullptr, 0, 0, nullptr};
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) {
        if (!at.inside[p]) continue;
        const long long o = at.offset(p, width);
        T z = 0;
        Vec3<T> point = {0, 0, 0};
        if (owner[p].gaussian >= 0) {
            const Vec3<T> ray = pixel_direction(camera, at.x, at.row(p));
            z = make_peak(camera, g, owner[p].gaussian).depth(ray);
            point = camera.centre() + camera.to_world_direction(z * ray);
        }
        index[o] = owner[p].gaussian;
        depth[o] = z;
        points[o] = point.x;
        points[o + pixels] = point.y;
        points[o + 2 * pixels] = point.z;
        transmittance[o] = magnitude(light[p]);
    }
}
