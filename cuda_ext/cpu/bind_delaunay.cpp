// SPDX-License-Identifier: Apache-2.0
#include "bindings.h"
#include "delaunay.h"

namespace {

using Points = Array<const double>;

std::vector<milo::Point3> points_of(const Points& array) {
    std::vector<milo::Point3> points(array.size() / 3);
    const double* x = array.data();
    for (auto& p : points) p = {x[0], x[1], x[2]}, x += 3;
    return points;
}

// sign[i] of a predicate of the `size` points i * size, i * size + 1, ...
template <class Predicate>
auto signs(const Points& array, size_t size, Predicate&& predicate) {
    const auto points = points_of(array);
    std::vector<int8_t> sign(points.size() / size);
    for (size_t i = 0; i < sign.size(); ++i) sign[i] = static_cast<int8_t>(predicate(&points[i * size]));
    const size_t count = sign.size();
    return to_numpy(std::move(sign), {count});
}

}  // namespace

void bind_delaunay(nb::module_& m) {
    // stop: uint8 [1], looked at while it works; the result has no meaning once it is not 0.
    m.def("delaunay", [](const Points& points, int threads, const Array<const uint8_t>& stop) {
        static_assert(sizeof(std::atomic<uint8_t>) == 1);
        milo::Buffer<int32_t> tets;
        {
            nb::gil_scoped_release release;
            tets = milo::delaunay(points_of(points), threads, reinterpret_cast<const std::atomic<uint8_t>*>(stop.data()));
        }
        const size_t count = tets.size() / 4;
        return to_numpy(std::move(tets), {count, size_t{4}});
    }, nb::arg("points"), nb::arg("threads"), nb::arg("stop"));

    // For tests: the exact predicates by themselves, on points [N, 4, 3] and [N, 5, 3].
    m.def("orient3d", [](const Points& points) {
        return signs(points, 4, [](const milo::Point3* p) { return milo::orient3d(p[0], p[1], p[2], p[3]); });
    }, nb::arg("points"));
    m.def("insphere", [](const Points& points) {
        return signs(points, 5, [](const milo::Point3* p) { return milo::insphere(p[0], p[1], p[2], p[3], p[4]); });
    }, nb::arg("points"));
}
