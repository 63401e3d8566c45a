// SPDX-License-Identifier: Apache-2.0
// CPU driver of the pivots, the field at them and its losses.  spec: training.md 4.4, 5.2, 5.4
#include <nanobind/stl/optional.h>

#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "bindings.h"
#include "parallel.h"

namespace milo {
using std::exp;
using std::log1p;
using std::sqrt;
}
#include "field.h"
#include "pivots.h"

namespace milo {
namespace {

constexpr int64_t kGrain = 4096;   // Gaussians: fixed, so that sums do not depend on the number of threads

template <class T>
using Maybe = std::optional<Array<T>>;

template <class T>
T* data_or_null(const Maybe<T>& array) {
    return array ? array->data() : nullptr;
}

// The Gaussians that carry pivots; without a list all of them.
struct Rows {
    const int32_t* list;
    int64_t count;

    Rows(const Maybe<int32_t>& rows, size_t all)
        : list(data_or_null(rows)), count(int64_t(rows ? rows->shape(0) : all)) {}
    int64_t operator[](int64_t i) const { return list ? list[i] : i; }
};

template <class T>
Vec3<T> at3(const T* rows, int64_t i) {
    return {rows[3 * i], rows[3 * i + 1], rows[3 * i + 2]};
}

template <class T>
void put3(T* rows, int64_t i, Vec3<T> value) {
    rows[3 * i] = value.x, rows[3 * i + 1] = value.y, rows[3 * i + 2] = value.z;
}

template <class T>
Quat<T> at4(const T* rows, int64_t i) {
    return {rows[4 * i], rows[4 * i + 1], rows[4 * i + 2], rows[4 * i + 3]};
}

template <class T>
void pivots(Array<T> means, Array<T> scales, Array<T> quats, Maybe<int32_t> chosen, double growth, Array<T> points,
            Array<T> radii) {
    const Rows rows(chosen, means.shape(0));
    const T *mean = means.data(), *scale = scales.data(), *quat = quats.data();
    T *point = points.data(), *radius = radii.data();
    nb::gil_scoped_release release;
    parallel_for(rows.count, kGrain, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            const int64_t row = rows[i];
            const Vec3<T> centre = at3(mean, row), half = T(growth) * at3(scale, row);
            for (int j = 0; j < 9; ++j) {
                const int64_t place = pivot_place(i, j, rows.count);
                put3(point, place, j < 8 ? box_corner(centre, at4(quat, row), half, j) : centre);
                radius[place] = largest(half);
            }
        }
    });
}

template <class T>
void pivots_backward(Array<T> scales, Array<T> quats, Maybe<int32_t> chosen, double growth, Array<T> g_points,
                     Array<T> g_means, Array<T> g_scales, Array<T> g_quats) {
    const Rows rows(chosen, scales.shape(0));
    const T *scale = scales.data(), *quat = quats.data(), *g_point = g_points.data();
    T *g_mean = g_means.data(), *g_scale = g_scales.data(), *g_quat = g_quats.data();
    nb::gil_scoped_release release;
    parallel_for(rows.count, kGrain, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            const int64_t row = rows[i];
            Vec3<T> g[9];
            for (int j = 0; j < 9; ++j) g[j] = at3(g_point, pivot_place(i, j, rows.count));
            const BoxGradient<T> box = box_backward(at4(quat, row), T(growth) * at3(scale, row), g);
            put3(g_mean, row, box.mean);
            put3(g_scale, row, T(growth) * box.half);
            T* q = g_quat + 4 * row;
            q[0] = box.quat.w, q[1] = box.quat.x, q[2] = box.quat.y, q[3] = box.quat.z;
        }
    });
}

template <class T>
struct Field {
    const T *base, *shift;
    Rows rows;
    const uint8_t *labels, *on_surface;   // may be null
    bool only_occupied;
    double center_weight, label_weight;

    bool counts(int64_t i, int j) const { return j == 8 && (!on_surface || on_surface[i]); }
    FieldFactors factors(double occupied, double centers) const {
        return field_factors(int64_t(occupied), int64_t(centers), 9 * rows.count, only_occupied, center_weight,
                             label_weight);
    }
};

template <class T>
void field(Array<T> base, Array<T> shift, Maybe<int32_t> chosen, Maybe<uint8_t> labels, Maybe<uint8_t> on_surface,
           bool only_occupied, double center_weight, double label_weight, Array<T> sdf, Array<double> counts,
           Array<T> terms) {
    const Field<T> in{base.data(), shift.data(), Rows(chosen, base.shape(0)), data_or_null(labels),
                      data_or_null(on_surface), only_occupied, center_weight, label_weight};
    T* out = sdf.data();
    double* count = counts.data();
    T* term = terms.data();
    nb::gil_scoped_release release;
    const int64_t n = in.rows.count;
    std::vector<std::array<double, 4>> parts((n + kGrain - 1) / kGrain);   // of centres, labels, occupied, centres that count
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end, int) {
        std::array<double, 4> sums{};
        for (int64_t i = begin; i < end; ++i)
            for (int j = 0; j < 9; ++j) {
                const int64_t from = 9 * in.rows[i] + j, place = pivot_place(i, j, n);
                const T logit = in.base[from] + in.shift[from];
                out[place] = sdf_of(logit);
                if (!in.labels) continue;
                sums[1] += label_loss(logit, in.labels[place] != 0, only_occupied);
                sums[2] += in.labels[place] != 0;
                if (in.counts(i, j)) sums[0] += center_loss(logit), sums[3] += 1;
            }
        parts[begin / kGrain] = sums;
    });
    if (!in.labels) return;
    std::array<double, 4> sums{};
    for (const auto& part : parts)
        for (int k = 0; k < 4; ++k) sums[k] += part[k];
    const FieldFactors factors = in.factors(sums[2], sums[3]);
    count[0] = sums[2], count[1] = sums[3];
    term[0] = T(factors.center * sums[0]), term[1] = T(factors.label * sums[1]);
}

template <class T>
void field_backward(Array<T> base, Array<T> shift, Maybe<int32_t> chosen, Maybe<uint8_t> labels,
                    Maybe<uint8_t> on_surface, bool only_occupied, double center_weight, double label_weight,
                    Array<double> counts, Maybe<T> g_sdf, Maybe<T> g_center, Maybe<T> g_label, Array<T> g_shift) {
    const Field<T> in{base.data(), shift.data(), Rows(chosen, base.shape(0)), data_or_null(labels),
                      data_or_null(on_surface), only_occupied, center_weight, label_weight};
    const T* by_sdf = data_or_null(g_sdf);
    T* out = g_shift.data();
    double center = 0, label = 0;
    if (in.labels) {
        const FieldFactors factors = in.factors(counts.data()[0], counts.data()[1]);
        if (g_center) center = factors.center * *g_center->data();
        if (g_label) label = factors.label * *g_label->data();
    }
    nb::gil_scoped_release release;
    const int64_t n = in.rows.count;
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i)
            for (int j = 0; j < 9; ++j) {
                const int64_t from = 9 * in.rows[i] + j, place = pivot_place(i, j, n);
                out[from] = field_gradient(in.base[from] + in.shift[from], in.labels && in.labels[place], only_occupied,
                                           by_sdf ? by_sdf[place] : T(0), T(label), in.counts(i, j) ? T(center) : T(0));
            }
    });
}

template <class T>
void bind(nb::module_& m) {
    using namespace nb::literals;
    m.def("pivots", &pivots<T>, "means"_a, "scales"_a, "quats"_a, "rows"_a.none(), "growth"_a, "points"_a, "radii"_a);
    m.def("pivots_backward", &pivots_backward<T>, "scales"_a, "quats"_a, "rows"_a.none(), "growth"_a, "g_points"_a,
          "g_means"_a, "g_scales"_a, "g_quats"_a);
    m.def("field", &field<T>, "base"_a, "shift"_a, "rows"_a.none(), "labels"_a.none(), "on_surface"_a.none(),
          "only_occupied"_a, "center_weight"_a, "label_weight"_a, "sdf"_a, "counts"_a, "terms"_a);
    m.def("field_backward", &field_backward<T>, "base"_a, "shift"_a, "rows"_a.none(), "labels"_a.none(),
          "on_surface"_a.none(), "only_occupied"_a, "center_weight"_a, "label_weight"_a, "counts"_a, "g_sdf"_a.none(),
          "g_center"_a.none(), "g_label"_a.none(), "g_shift"_a);
}

}  // namespace
}  // namespace milo

void bind_pivots(nb::module_& m) {
    milo::bind<float>(m);
    milo::bind<double>(m);
}
