// SPDX-License-Identifier: Apache-2.0
// Pivots of Gaussians, the field at them and its losses.  spec: training.md 4.4, 5.2, 5.4
// `rows` [n] are the Gaussians that carry pivots, each once; null: all of them.
#include "block_sums.cuh"
#include "field.h"
#include "pivots.h"

using namespace milo;

namespace {

__device__ __forceinline__ long long row_of(const int* rows, long long i) { return rows ? rows[i] : i; }

__device__ __forceinline__ Quat<Scalar> load_quat(const Scalar* quats, long long row) {
    return {quats[4 * row], quats[4 * row + 1], quats[4 * row + 2], quats[4 * row + 3]};
}

}  // namespace

// points [9n, 3], radii [9n].  A thread per pivot.
KERNEL pivots(const Scalar* means, const Scalar* scales, const Scalar* quats, const int* rows, int n, double growth,
              Scalar* points, Scalar* radii) {
    const long long p = thread_index();
    if (p >= 9ll * n) return;
    const bool centre = p >= 8ll * n;
    const long long row = row_of(rows, centre ? p - 8ll * n : p / 8);
    const Vec3<Scalar> mean = load3(means, row), half = static_cast<Scalar>(growth) * load3(scales, row);
    radii[p] = largest(half);
    store3(points, p, centre ? mean : box_corner(mean, load_quat(quats, row), half, static_cast<int>(p % 8)));
}

// Writes the rows of the gradients.  A thread per Gaussian.
KERNEL pivots_backward(const Scalar* scales, const Scalar* quats, const int* rows, int n, double growth,
                       const Scalar* g_points, Scalar* g_means, Scalar* g_scales, Scalar* g_quats) {
    const long long i = thread_index();
    if (i >= n) return;
    Vec3<Scalar> g[9];
    for (int j = 0; j < 9; ++j) g[j] = load3(g_points, pivot_place(i, j, n));
    const long long row = row_of(rows, i);
    const Scalar grown = static_cast<Scalar>(growth);
    const BoxGradient<Scalar> box = box_backward(load_quat(quats, row), grown * load3(scales, row), g);
    store3(g_means, row, box.mean);
    store3(g_scales, row, grown * box.half);
    g_quats[4 * row] = box.quat.w;
    g_quats[4 * row + 1] = box.quat.x;
    g_quats[4 * row + 2] = box.quat.y;
    g_quats[4 * row + 3] = box.quat.z;
}

// Without labels (null): the signed distance alone.  on_surface [n]: null if all centres count.
#define FIELD                                                                                                  \
    const Scalar *base, const Scalar *shift, const int *rows, int n, const unsigned char *labels,              \
        const unsigned char *on_surface, bool only_occupied

// sdf [9n]; partials [blocks, 4]: sums of the centres' loss, of the labels' loss, of occupied labels, of centres.
KERNEL field(FIELD, Scalar* sdf, double* partials) {
    const long long k = thread_index();
    double sums[4] = {};
    if (k < 9ll * n) {
        const long long i = k / 9, from = 9 * row_of(rows, i) + k % 9;
        const int j = static_cast<int>(k % 9);
        const long long place = pivot_place(i, j, n);
        const Scalar logit = base[from] + shift[from];
        sdf[place] = sdf_of(logit);
        if (labels) {
            const bool occupied = labels[place] != 0;
            sums[1] = label_loss(logit, occupied, only_occupied);
            sums[2] = occupied;
            if (j == 8 && (!on_surface || on_surface[i])) {
                sums[0] = center_loss(logit);
                sums[3] = 1;
            }
        }
    }
    if (labels) leave_partial(sums, partials);
}

// One block.  counts [2]: occupied labels, centres; terms [2]: the weighted losses of centres and labels.
KERNEL field_terms(const double* partials, int num_partials, int n, bool only_occupied, double center_weight,
                   double label_weight, double* counts, Scalar* terms) {
    double sums[4];
    sum_partials(partials, num_partials, sums);
    if (threadIdx.x) return;
    const FieldFactors factors = field_factors(static_cast<long long>(sums[2]), static_cast<long long>(sums[3]), 9ll * n,
                                               only_occupied, center_weight, label_weight);
    counts[0] = sums[2];
    counts[1] = sums[3];
    terms[0] = static_cast<Scalar>(factors.center * sums[0]);
    terms[1] = static_cast<Scalar>(factors.label * sums[1]);
}

// Writes the rows of g_shift.  g_sdf [9n], g_center and g_label [] may be null.
KERNEL field_backward(FIELD, double center_weight, double label_weight, const double* counts, const Scalar* g_sdf,
                      const Scalar* g_center, const Scalar* g_label, Scalar* g_shift) {
    const long long k = thread_index();
    if (k >= 9ll * n) return;
    const long long i = k / 9, from = 9 * row_of(rows, i) + k % 9;
    const int j = static_cast<int>(k % 9);
    const long long place = pivot_place(i, j, n);
    double center = 0, label = 0;
    bool occupied = false;
    if (labels) {
        const FieldFactors factors = field_factors(static_cast<long long>(counts[0]), static_cast<long long>(counts[1]),
                                                   9ll * n, only_occupied, center_weight, label_weight);
        occupied = labels[place] != 0;
        if (g_label) label = factors.label * *g_label;
        if (g_center && j == 8 && (!on_surface || on_surface[i])) center = factors.center * *g_center;
    }
    g_shift[from] = field_gradient(base[from] + shift[from], occupied, only_occupied, g_sdf ? g_sdf[place] : Scalar(0),
                                   static_cast<Scalar>(label), static_cast<Scalar>(center));
}
