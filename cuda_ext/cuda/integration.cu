// SPDX-License-Identifier: Apache-2.0
// Opacity gathered up to given points.  First the pixels that own points find out which Gaussians count there, by five
// samples each: one 64-bit mask per pair (Gaussian, cell).  Then one thread per point walks its cell's list.
// spec: rasterization.md 4
#include "point_opacity.h"
#include "splat_cell.cuh"

using namespace milo;

namespace {

using T = Scalar;
using PixelMask = unsigned long long;   // of a cell's 8 x 8 pixels, row by row

constexpr int kCellPixels = kCell * kCell;
constexpr int kUnseen = 0x7fffffff;     // sorts last
static_assert(kCellPixels == 64);

// keys: [P] cell * 64 + pixel, or kUnseen.  owns: [cells] zeros before, 1 where a cell has points.
template <class Probe>
__device__ void see_points(const T* points, int count, const T* viewmat, const T* K, int width, int height, T near_plane,
                           int* keys, unsigned char* owns) {
    const long long i = thread_index();
    if (i >= count) return;
    const Camera<T> camera = make_camera(viewmat, K, width, height);
    const SeenPoint<T> point = see_point<Probe>(camera, load3(points, i), near_plane);
    int key = kUnseen;
    if (point.x >= 0) {
        const int cell = point.y / kCell * ((width + kCell - 1) / kCell) + point.x / kCell;
        key = cell * kCellPixels + point.y % kCell * kCell + point.x % kCell;
        owns[cell] = 1;
    }
    keys[i] = key;
}

// Whether a sample sees a Gaussian; its light is dimmed if so.  One that has too little light for this one may have
// enough for a fainter one behind it.
__device__ bool pass_sample(T& light, T power) {
    const BlendStep<T> step = blend_step(power, light);
    light = magnitude(step.transmittance);
    return step.drawn;
}

// Pixels of a cell of which a corner passes.  upper_left: by pixel; border: bits 0 to 7 the rightmost corners of the
// pixels' rows, bit 8 the lower right one of all, bits 9 to 16 the lowest corners of the pixels' columns.
__device__ PixelMask with_passing_corner(PixelMask upper_left, unsigned border) {
    PixelMask right = 0;
#pragma unroll
    for (int row = 0; row < kCell; ++row) right |= PixelMask(border >> row & 1) << (kCell * row + kCell - 1);
    const PixelMask lowest = border >> 9 & 0xff, last = border >> 8 & 1;
    const PixelMask upper_right = (upper_left >> 1 & 0x7f7f7f7f7f7f7f7fULL) | right;
    const PixelMask lower_left = upper_left >> kCell | lowest << (kCellPixels - kCell);
    const PixelMask lower_right = upper_right >> kCell | (lowest >> 1 | last << 7) << (kCellPixels - kCell);
    return upper_left | upper_right | lower_left | lower_right;
}

// masks: [instances], for cells that own points.
template <class Probe>
__device__ void find_candidates(const Cells& cells, const Probe* probes, const unsigned char* owns, int width,
                                int height, T near_plane, PixelMask* masks) {
    __shared__ Stage<Probe> stages[kCellWarps];
    const LanePixels at(cells, width, height);
    if (at.first == at.last || !owns[at.cell]) return;
    // Samples of this lane: two centres, the upper left corners of the same pixels, and one corner of the border.
    T centre[kLanePixels], corner[kLanePixels], border = T(1);
#pragma unroll
    for (int p = 0; p < kLanePixels; ++p) centre[p] = corner[p] = T(1);
    const int cell_x = at.x - at.lane % kCell, cell_y = at.y - at.lane / kCell;
    const int border_x = at.lane <= 8 ? kCell : at.lane - 9, border_y = at.lane < 8 ? at.lane : kCell;
    const bool on_border = at.lane < 2 * kCell + 1;
    walk_cell(stages[threadIdx.x / 32], cells, probes, at.first, at.last, [] { return false; },
              [&](const Probe& probe, int k, int, int) {
        const T half = T(0.5), dx = probe.mean.x - T(at.x);
        unsigned centres[kLanePixels], corners[kLanePixels];
#pragma unroll
        for (int p = 0; p < kLanePixels; ++p) {
            const T dy = probe.mean.y - T(at.row(p));
            centres[p] = __ballot_sync(kWholeWarp, pass_sample(centre[p], sample_power(probe, dx, dy, near_plane)));
            corners[p] = __ballot_sync(
                kWholeWarp, pass_sample(corner[p], sample_power(probe, dx + half, dy + half, near_plane)));
        }
        const T to_x = probe.mean.x - T(cell_x + border_x) + half, to_y = probe.mean.y - T(cell_y + border_y) + half;
        const bool passes = on_border && pass_sample(border, sample_power(probe, to_x, to_y, near_plane));
        const unsigned borders = __ballot_sync(kWholeWarp, passes);
        if (at.lane == 0)
            masks[k] = (centres[0] | PixelMask(centres[1]) << 32) |
                       with_passing_corner(corners[0] | PixelMask(corners[1]) << 32, borders);
    });
}

// order: [P] points by key.  opacity: [P].
template <class Probe>
__device__ void integrate(const int* sorted_keys, const long long* order, const T* points, int count, const T* viewmat,
                          const T* K, int width, int height, T near_plane, const Cells& cells, const Probe* probes,
                          const PixelMask* masks, T* opacity) {
    const long long k = thread_index();
    if (k >= count) return;
    const long long i = order[k];
    const int key = sorted_keys[k];
    T light = key == kUnseen ? T(0) : T(1);
    if (key != kUnseen) {
        const Camera<T> camera = make_camera(viewmat, K, width, height);
        const SeenPoint<T> point = see_point<Probe>(camera, load3(points, i), near_plane);
        const int cell = key / kCellPixels, last = cells.end[cell];
        const PixelMask pixel = PixelMask(1) << key % kCellPixels;
        for (int j = cells.begin[cell]; j < last; ++j) {
            if (!(masks[j] & pixel)) continue;
            const Probe& probe = probes[cells.gaussian[j]];
            const T power = point_power(probe, probe.mean.x - point.at.x, probe.mean.y - point.at.y, point.reach);
            light = light_behind(light, power, true);
        }
    }
    opacity[i] = T(1) - light;
}

}  // namespace

#define MILO_KERNELS(name, Probe)                                                                                      \
    KERNEL see_points_##name(const T* points, int count, const T* viewmat, const T* K, int width, int height,          \
                             double near_plane, int* keys, unsigned char* owns) {                                      \
        see_points<Probe<T>>(points, count, viewmat, K, width, height, T(near_plane), keys, owns);                     \
    }                                                                                                                  \
    KERNEL find_candidates_##name(Cells cells, const Probe<T>* probes, const unsigned char* owns, int width,           \
                                  int height, double near_plane, PixelMask* masks) {                                   \
        find_candidates(cells, probes, owns, width, height, T(near_plane), masks);                                     \
    }                                                                                                                  \
    KERNEL integrate_##name(Cells cells, const Probe<T>* probes, const int* sorted_keys, const long long* order,       \
                            const T* points, int count, const T* viewmat, const T* K, int width, int height,           \
                            double near_plane, const PixelMask* masks, T* opacity) {                                   \
        integrate(sorted_keys, order, points, count, viewmat, K, width, height, T(near_plane), cells, probes, masks,   \
                  opacity);                                                                                            \
    }

MILO_KERNELS(radegs, RadeProbe)
MILO_KERNELS(gof, GofSplat)
