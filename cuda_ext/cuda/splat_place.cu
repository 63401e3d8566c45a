// SPDX-License-Identifier: Apache-2.0
// Gaussians placed on the cells of an image: which cells each one touches, and the lists of the cells.
// spec: rasterization.md 1.4 - 1.9, 9.2 (4), 9.3
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

template <bool geometry>
__device__ void place(const Gaussians<T>& g, const T* viewmat, const T* K, int width, int height, T low_pass, T near_plane,
                      bool peaks, int* radii, int* touched, DepthKey* keys, TileRect* rects,
                      Outline<T>* outlines, Splat<T>* splats) {
    const long long i = thread_index();
    if (i >= g.count) return;
    const Camera<T> camera = make_camera(viewmat, K, width, height);
    const Placement<T> at = place_gaussian<geometry>(camera, g, i, low_pass, near_plane);
    radii[i] = at.radius;
    int count = 0;
    if (at.drawn) {
        const int cells_x = (width + kCell - 1) / kCell, cells_y = (height + kCell - 1) / kCell;
        const TileRect rect = {at.rect.x0 * kCellsPerTile, min(at.rect.x1 * kCellsPerTile, cells_x),
                               at.rect.y0 * kCellsPerTile, min(at.rect.y1 * kCellsPerTile, cells_y)};
        rects[i] = rect;
        outlines[i] = make_outline(at.mean, at.projection.footprint, at.opacity);
        for (int row = rect.y0; row < rect.y1; ++row) {
            const int2 columns = row_cells(outlines[i], rects[i], row);
            count += max(0, columns.y - columns.x);
        }
        if (count) {
            Splat<T> splat = make_splat<geometry>(camera, camera.centre(), g, i, at);
            if (peaks) splat.normal = make_peak(camera, g, i).b;   // the depth render's only need of a splat's spare room
            splats[i] = splat;
        }
    }
    touched[i] = count;
    keys[i] = count ? depth_key(at.projection.p.z) : depth_key(T(1) / T(0));   // infinity: last
}

// Eight lanes per Gaussian, nearest first: each takes every eighth row.  ends: [N] sum of touched up to and with each
// Gaussian of the order.
template <class Key>
__device__ void list_cells(const long long* order, const int* ends, const int* touched, const TileRect* rects,
                           const Outline<T>* outlines, int count, int cells_x, Key* cell_of, int* gaussian_of) {
    const long long k = thread_index() / kListLanes;
    const int lane = threadIdx.x % kListLanes, i = k < count ? static_cast<int>(order[k]) : 0;
    const int n = k < count ? touched[i] : 0;
    const unsigned group = ((1u << kListLanes) - 1) << (threadIdx.x % 32 - lane);
    if (n == 0) return;
    int next = ends[k] - n;
    for (int first = rects[i].y0; first < rects[i].y1; first += kListLanes) {
        const int row = first + lane;
        const int2 columns = row < rects[i].y1 ? row_cells(outlines[i], rects[i], row) : int2{0, 0};
        const int length = max(0, columns.y - columns.x);
        int end = length;
        for (int step = 1; step < kListLanes; step *= 2) {
            const int before = __shfl_up_sync(group, end, step, kListLanes);
            if (lane >= step) end += before;
        }
        for (int j = 0; j < length; ++j) {
            cell_of[next + end - length + j] = static_cast<Key>(row * cells_x + columns.x + j);
            gaussian_of[next + end - length + j] = i;
        }
        next += __shfl_sync(group, end, kListLanes - 1, kListLanes);
    }
}

// One thread per instance in the order of cells.  slot: where it stood before that sort.
template <class Key>
__device__ void find_cells(const Key* sorted, const long long* slot, const int* gaussian_of, int count, int cells,
                           int* cell_begin, int* gaussian_out, int* slot_out) {
    const long long k = thread_index();
    if (k >= count) return;
    const int here = sorted[k], before = k ? sorted[k - 1] : -1;
    for (int cell = before + 1; cell <= here; ++cell) cell_begin[cell] = static_cast<int>(k);
    if (k == count - 1)
        for (int cell = here + 1; cell <= cells; ++cell) cell_begin[cell] = count;
    slot_out[k] = static_cast<int>(slot[k]);
    gaussian_out[k] = gaussian_of[slot[k]];
}

}  // namespace

KERNEL place_geometry(const T* means, const T* scales, const T* quats, const T* opacities, const T* sh_dc,
                      const T* sh_rest, int count, int rest, int sh_degree, const T* viewmat, const T* K, int width,
                      int height, double low_pass, double near_plane, int* radii, int* touched,
                      DepthKey* keys, TileRect* rects, Outline<T>* outlines,
                      Splat<T>* splats) {
    const Gaussians<T> g = {count, means, scales, quats, opacities, sh_dc, sh_rest, rest, sh_degree, nullptr};
    place<true>(g, viewmat, K, width, height, T(low_pass), T(near_plane), false, radii, touched, keys, rects, outlines,
                splats);
}

// sh_dc may be null: no colours.  peaks: leave the depth peak's b in the place of the normal.
KERNEL place_train(const T* means, const T* scales, const T* quats, const T* opacities, const T* sh_dc, const T* sh_rest,
                   int count, int rest, int sh_degree, const bool* cull, const T* viewmat, const T* K, int width,
                   int height, double near_plane, bool peaks, int* radii, int* touched, DepthKey* keys,
                   TileRect* rects, Outline<T>* outlines, Splat<T>* splats) {
    const Gaussians<T> g = {count, means, scales, quats, opacities, sh_dc, sh_rest, rest, sh_degree, cull};
    place<false>(g, viewmat, K, width, height, T(kTrainLowPass), T(near_plane), peaks, radii, touched, keys, rects,
                 outlines, splats);
}

KERNEL list_cells_16(const long long* order, const int* ends, const int* touched, const TileRect* rects,
                     const Outline<T>* outlines, int count, int cells_x, short* cell_of, int* gaussian_of) {
    list_cells(order, ends, touched, rects, outlines, count, cells_x, cell_of, gaussian_of);
}

KERNEL list_cells_32(const long long* order, const int* ends, const int* touched, const TileRect* rects,
                     const Outline<T>* outlines, int count, int cells_x, int* cell_of, int* gaussian_of) {
    list_cells(order, ends, touched, rects, outlines, count, cells_x, cell_of, gaussian_of);
}

KERNEL find_cells_16(const short* sorted, const long long* slot, const int* gaussian_of, int count, int cells,
                     int* cell_begin, int* gaussian_out, int* slot_out) {
    find_cells(sorted, slot, gaussian_of, count, cells, cell_begin, gaussian_out, slot_out);
}

KERNEL find_cells_32(const int* sorted, const long long* slot, const int* gaussian_of, int count, int cells,
                     int* cell_begin, int* gaussian_out, int* slot_out) {
    find_cells(sorted, slot, gaussian_of, count, cells, cell_begin, gaussian_out, slot_out);
}
