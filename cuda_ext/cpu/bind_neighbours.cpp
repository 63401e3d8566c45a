// SPDX-License-Identifier: Apache-2.0
#include "bindings.h"
#include "kd_tree.h"
#include "parallel.h"

namespace {

constexpr int64_t kGrain = 256;

void mean_sq_distance(Array<float> points, Array<float> out) {
    nb::gil_scoped_release release;
    const int64_t count = points.shape(0);
    const milo::KdTree tree(points.data(), count);
    milo::parallel_for(count, kGrain, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            milo::Neighbour found[3];
            tree.nearest(points.data() + 3 * i, 3, int32_t(i), found);
            out.data()[i] = (found[0].dist2 + found[1].dist2 + found[2].dist2) / 3;
        }
    });
}

void nearest(Array<float> points, Array<float> queries, Array<float> dist2, Array<int32_t> index) {
    nb::gil_scoped_release release;
    const milo::KdTree tree(points.data(), points.shape(0));
    const int k = int(dist2.shape(1));
    milo::parallel_for(queries.shape(0), kGrain, [&](int64_t begin, int64_t end, int) {
        std::vector<milo::Neighbour> found(k);
        for (int64_t i = begin; i < end; ++i) {
            tree.nearest(queries.data() + 3 * i, k, -1, found.data());
            for (int j = 0; j < k; ++j) {
                dist2.data()[i * k + j] = found[j].dist2;
                index.data()[i * k + j] = found[j].index;
            }
        }
    });
}

}  // namespace

void bind_neighbours(nb::module_& m) {
    m.def("mean_sq_distance", &mean_sq_distance, nb::arg("points"), nb::arg("out"));
    m.def("nearest", &nearest, nb::arg("points"), nb::arg("queries"), nb::arg("dist2"), nb::arg("index"));
}
