// SPDX-License-Identifier: Apache-2.0
// CPU driver of the deformation gradients of a surface.
#include "bindings.h"
#include "parallel.h"
#include "rows.h"
#include "surface_gradient.h"

namespace milo {
namespace {

using In = Array<const float>;
using Index = Array<const int32_t>;

void triangles(In positions, Index faces, In duals, In normals, In areas, Array<const uint8_t> good, In flip,
               int normal_stretch, Array<float> F, Array<float> weights) {
    nb::gil_scoped_release release;
    parallel_for(int64_t(areas.size()), 4096, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            Vec3<float> y[3];
            for (int k = 0; k < 3; ++k) y[k] = load3(positions.data(), faces.data()[3 * i + k]);
            const float area = areas.data()[i];
            const TriangleGradient<float> gradient = triangle_gradient(
                y, load3(duals.data(), 2 * i), load3(duals.data(), 2 * i + 1), load3(normals.data(), i), area,
                flip.data()[i], normal_stretch);
            store_matrix(F.data() + 9 * i, gradient.F);
            weights.data()[i] = good.data()[i] && !gradient.collapsed ? area : 0.0f;
        }
    });
}

void vertices(In F, In weights, Index begins, Index incident, Array<float> out, Array<float> totals) {
    nb::gil_scoped_release release;
    parallel_for(int64_t(totals.size()), 2048, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            const int first = begins.data()[i];
            store_matrix(out.data() + 9 * i, vertex_gradient(incident.data() + first, begins.data()[i + 1] - first,
                                                             F.data(), weights.data(), totals.data()[i]));
        }
    });
}

}  // namespace
}  // namespace milo

void bind_surface_gradients(nb::module_& m) {
    m.def("triangle_gradients", &milo::triangles);
    m.def("vertex_gradients", &milo::vertices);
}
