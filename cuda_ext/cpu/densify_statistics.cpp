// SPDX-License-Identifier: Apache-2.0
// CPU driver of densify_statistics.
#include <cmath>
#include <optional>

#include <nanobind/stl/optional.h>

#include "bindings.h"
#include "parallel.h"

namespace milo {
using std::sqrt;
}
#include "densify_statistics.h"

namespace {

void add_render_statistics(Array<const float> screen_grad, Array<const int32_t> radii,
                           std::optional<Array<const int32_t>> area_max, std::optional<Array<const float>> factor,
                           float blur_area, Array<float> gradient, Array<float> drawn, Array<float> absolute,
                           Array<uint8_t> blurred) {
    nb::gil_scoped_release release;
    const milo::DensifyStatistics to = {gradient.data(), drawn.data(), absolute.data(), blurred.data()};
    const int32_t* areas = area_max ? area_max->data() : nullptr;
    const float* factors = factor ? factor->data() : nullptr;
    milo::parallel_for(int64_t(radii.size()), 8192, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i)
            milo::add_render(to, i, screen_grad.data(), radii.data(), areas, factors, blur_area);
    });
}

}  // namespace

void bind_densify_statistics(nb::module_& m) {
    m.def("add_render_statistics", &add_render_statistics, nb::arg(), nb::arg(), nb::arg().none(), nb::arg().none(),
          nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg());
}
