// SPDX-License-Identifier: Apache-2.0
// CPU driver of composite.
#include <optional>

#include <nanobind/stl/optional.h>

#include "bindings.h"
#include "composite.h"
#include "parallel.h"

namespace {

void composite(Array<const uint8_t> photo, std::optional<Array<const uint8_t>> mask, Array<const float> background,
               Array<float> out) {
    nb::gil_scoped_release release;
    const int64_t pixels = int64_t(out.size()) / 3;
    const uint8_t *bytes = photo.data(), *object = mask ? mask->data() : nullptr;
    const float* behind = background.data();
    float* to = out.data();
    milo::parallel_for(pixels, 8192, [&](int64_t begin, int64_t end, int) {
        for (int64_t p = begin; p < end; ++p)
            for (int c = 0; c < 3; ++c)
                to[c * pixels + p] = milo::composited(bytes[3 * p + c], object ? object[p] : 255, behind[c]);
    });
}

}  // namespace

void bind_composite(nb::module_& m) {
    m.def("composite", &composite, nb::arg(), nb::arg().none(), nb::arg(), nb::arg());
}
