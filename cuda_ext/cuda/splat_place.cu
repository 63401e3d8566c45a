// SPDX-License-Identifier: Apache-2.0
// Gaussians placed on the cells of an image: which cells each one touches, and the lists of the cells, nearest first.
// A pair (Gaussian, cell) has a slot, in an order by Gaussian, and a place in its cell's list.  Where a Gaussian's slots
// and a cell's list begin is drawn from counters and differs from run to run; what is made of them does not.
// spec: rasterization.md 1.4 - 1.9, 9.2 (4), 9.3
#include "point_opacity.h"
#include "splat_cell.cuh"

using namespace milo;

namespace {

using T = Scalar;

// Cells [x, y) of a row that an outline meets.  Compiled once, so that counting and listing agree to the last bit.
__device__ __noinline__ int2 row_cells(const Outline<T>& outline, const TileRect& rect, int row) {
    int2 columns;
    row_tiles<kCell>(outline, rect, row, columns.x, columns.y);
    return columns;
}

// A depth > 0 as an integer of the same order.
__device__ int depth_key(float depth) { return __float_as_int(depth); }
__device__ long long depth_key(double depth) { return __double_as_longlong(depth); }

using DepthKey = decltype(depth_key(T()));

constexpr int kCellsPerTile = kTile / kCell;
constexpr int kListLanes = 8;

// Where this lane's `count` places begin, of those that a counter gives out.  All lanes of a warp call it.
__device__ int claim(int* counter, int count) {
    const int lane = threadIdx.x % 32;
    int end = count;
    for (int step = 1; step < 32; step *= 2) {
        const int before = __shfl_up_sync(kWholeWarp, end, step);
        if (lane >= step) end += before;
    }
    const int base = lane == 31 ? atomicAdd(counter, end) : 0;
    return __shfl_sync(kWholeWarp, base, 31) + end - count;
}

// What is kept of a Gaussian, and what only the lists need.  S: what is drawn of it.
template <class S>
struct Placed {
    int *radii, *touched, *slot;   // slot: its first
    S* splats;
    DepthKey* keys;
    TileRect* rects;
    Outline<T>* outlines;
};

// pairs: [1] zero before.  steps: [rows of cells, cells_x + 1] zeros before, +1 where a Gaussian's cells of a row begin
// and -1 behind them.  make(camera, i, placement): what is drawn of Gaussian i; outline(splat, placement): where.
template <bool geometry, class S, class Make, class MakeOutline>
__device__ void place(const Gaussians<T>& g, const T* viewmat, const T* K, int width, int height, T low_pass,
                      T near_plane, const Placed<S>& out, int* pairs, int* steps, Make make, MakeOutline outline) {
    const long long i = thread_index();
    int count = 0;
    if (i < g.count) {
        const Camera<T> camera = make_camera(viewmat, K, width, height);
        const Placement<T> at = place_gaussian<geometry>(camera, g, i, low_pass, near_plane);
        out.radii[i] = at.radius;
        if (at.drawn) {
            const int cells_x = (width + kCell - 1) / kCell, cells_y = (height + kCell - 1) / kCell;
            const TileRect rect = {at.rect.x0 * kCellsPerTile, min(at.rect.x1 * kCellsPerTile, cells_x),
                                   at.rect.y0 * kCellsPerTile, min(at.rect.y1 * kCellsPerTile, cells_y)};
            out.rects[i] = rect;
            const S splat = make(camera, i, at);
            out.outlines[i] = outline(splat, at);
            for (int row = rect.y0; row < rect.y1; ++row) {
                const int2 columns = row_cells(out.outlines[i], out.rects[i], row);
                if (columns.y <= columns.x) continue;
                count += columns.y - columns.x;
                atomicAdd(steps + row * (cells_x + 1) + columns.x, 1);
                atomicSub(steps + row * (cells_x + 1) + columns.y, 1);
            }
            if (count) {
                out.splats[i] = splat;
                out.keys[i] = depth_key(at.projection.p.z);
            }
        }
        out.touched[i] = count;
    }
    const int slot = claim(pairs, count);
    if (i < g.count) out.slot[i] = slot;
}

__device__ Outline<T> footprint_outline(const Splat<T>&, const Placement<T>& at) {
    return make_outline(at.mean, at.projection.footprint, at.opacity);
}

template <class Probe>
__device__ void place_probes(const Gaussians<T>& g, const T* viewmat, const T* K, int width, int height, T near_plane,
                             const Placed<Probe>& placed, int* pairs, int* steps) {
    place<true>(
        g, viewmat, K, width, height, T(0), near_plane, placed, pairs, steps,
        [&](const Camera<T>& camera, long long i, const Placement<T>& at) {
            return make_probe(camera, g, i, at, static_cast<Probe*>(nullptr));
        },
        [](const Probe& probe, const Placement<T>& at) { return probe_outline(probe, at); });
}

}  // namespace

KERNEL place_geometry(const T* means, const T* scales, const T* quats, const T* opacities, const T* sh_dc,
                      const T* sh_rest, int count, int rest, int sh_degree, const T* viewmat, const T* K, int width,
                      int height, double low_pass, double near_plane, Placed<Splat<T>> placed, int* pairs, int* steps) {
    const Gaussians<T> g = {count, means, scales, quats, opacities, sh_dc, sh_rest, rest, sh_degree, nullptr};
    place<true>(
        g, viewmat, K, width, height, T(low_pass), T(near_plane), placed, pairs, steps,
        [&](const Camera<T>& camera, long long i, const Placement<T>& at) {
            return make_splat<true>(camera, camera.centre(), g, i, at);
        },
        footprint_outline);
}

// sh_dc may be null: no colours.  peaks: leave the depth peak's b in the place of the normal.
KERNEL place_train(const T* means, const T* scales, const T* quats, const T* opacities, const T* sh_dc, const T* sh_rest,
                   int count, int rest, int sh_degree, const bool* cull, const T* viewmat, const T* K, int width,
                   int height, double near_plane, bool peaks, Placed<Splat<T>> placed, int* pairs, int* steps) {
    const Gaussians<T> g = {count, means, scales, quats, opacities, sh_dc, sh_rest, rest, sh_degree, cull};
    place<false>(
        g, viewmat, K, width, height, T(kTrainLowPass), T(near_plane), placed, pairs, steps,
        [&](const Camera<T>& camera, long long i, const Placement<T>& at) {
            Splat<T> splat = make_splat<false>(camera, camera.centre(), g, i, at);
            if (peaks) splat.normal = make_peak(camera, g, i).b;   // the depth render needs no other spare room
            return splat;
        },
        footprint_outline);
}

KERNEL place_gof(const T* means, const T* scales, const T* quats, const T* opacities, const T* sh_dc, const T* sh_rest,
                 int count, int rest, int sh_degree, const T* viewmat, const T* K, int width, int height,
                 double low_pass, double near_plane, Placed<GofSplat<T>> placed, int* pairs, int* steps) {
    const Gaussians<T> g = {count, means, scales, quats, opacities, sh_dc, sh_rest, rest, sh_degree, nullptr};
    place<true>(
        g, viewmat, K, width, height, T(low_pass), T(near_plane), placed, pairs, steps,
        [&](const Camera<T>& camera, long long i, const Placement<T>& at) {
            return make_gof_splat(camera, camera.centre(), g, i, at);
        },
        [](const GofSplat<T>& splat, const Placement<T>& at) {
            return make_gof_outline(splat, at.opacity, T(kPixelSlack));
        });
}

// For the opacity of points; without colours.
KERNEL place_radegs_probes(const T* means, const T* scales, const T* quats, const T* opacities, const T*, const T*,
                           int count, int, int, const T* viewmat, const T* K, int width, int height, double near_plane,
                           Placed<RadeProbe<T>> placed, int* pairs, int* steps) {
    const Gaussians<T> g = {count, means, scales, quats, opacities, nullptr, nullptr, 0, 0, nullptr};
    place_probes(g, viewmat, K, width, height, T(near_plane), placed, pairs, steps);
}

KERNEL place_gof_probes(const T* means, const T* scales, const T* quats, const T* opacities, const T*, const T*,
                        int count, int, int, const T* viewmat, const T* K, int width, int height, double near_plane,
                        Placed<GofSplat<T>> placed, int* pairs, int* steps) {
    const Gaussians<T> g = {count, means, scales, quats, opacities, nullptr, nullptr, 0, 0, nullptr};
    place_probes(g, viewmat, K, width, height, T(near_plane), placed, pairs, steps);
}

// One warp a row of cells: where each cell's list begins.  listed: [1] zero before.  end: the same, for list_cells.
KERNEL begin_cells(const int* steps, int cells_x, int cells_y, int* listed, int* begin, int* end) {
    const int row = static_cast<int>(thread_index() / 32), lane = threadIdx.x % 32;
    if (row >= cells_y) return;
    int level = 0;   // Gaussians on the cell before
    for (int first = 0; first < cells_x; first += 32) {
        const int column = first + lane;
        int count = column < cells_x ? steps[row * (cells_x + 1) + column] : 0;
        for (int step = 1; step < 32; step *= 2) {
            const int before = __shfl_up_sync(kWholeWarp, count, step);
            if (lane >= step) count += before;
        }
        count += level;
        level = __shfl_sync(kWholeWarp, count, 31);
        const int place = claim(listed, column < cells_x ? count : 0);
        if (column < cells_x) begin[row * cells_x + column] = end[row * cells_x + column] = place;
    }
}

// Eight lanes per Gaussian: each takes every eighth row.  end: [cells] moves from each list's begin to its end.
KERNEL list_cells(const int* touched, const int* slots, const DepthKey* keys, const TileRect* rects,
                  const Outline<T>* outlines, int count, int cells_x, int* end, DepthKey* key_of, int* gaussian_of,
                  int* slot_of) {
    const long long i = thread_index() / kListLanes;
    const int lane = threadIdx.x % kListLanes;
    if (i >= count || touched[i] == 0) return;
    const unsigned group = ((1u << kListLanes) - 1) << (threadIdx.x % 32 - lane);
    const DepthKey key = keys[i];
    int next = slots[i];
    for (int first = rects[i].y0; first < rects[i].y1; first += kListLanes) {
        const int row = first + lane;
        const int2 columns = row < rects[i].y1 ? row_cells(outlines[i], rects[i], row) : int2{0, 0};
        const int length = max(0, columns.y - columns.x);
        int last = length;
        for (int step = 1; step < kListLanes; step *= 2) {
            const int before = __shfl_up_sync(group, last, step, kListLanes);
            if (lane >= step) last += before;
        }
        for (int j = 0; j < length; ++j) {
            const int place = atomicAdd(end + row * cells_x + columns.x + j, 1);
            key_of[place] = key;
            gaussian_of[place] = static_cast<int>(i);
            slot_of[place] = next + last - length + j;
        }
        next += __shfl_sync(group, last, kListLanes - 1, kListLanes);
    }
}
