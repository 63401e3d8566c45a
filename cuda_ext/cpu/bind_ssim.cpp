// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include <nanobind/stl/optional.h>

#include "bindings.h"
#include "ssim.h"

namespace {

template <class T>
double image_distance(Array<T> image, Array<T> target, double l1_weight, double ssim_weight,
                                          std::optional<Array<T>> grad) {
    nb::gil_scoped_release release;
    const milo::ImageDistance d = milo::image_distance<T>(
        static_cast<const T*>(image.data()), static_cast<const T*>(target.data()), image.shape(0), image.shape(1),
        image.shape(2), l1_weight, ssim_weight, grad ? grad->data() : nullptr);
    return l1_weight * d.l1 + ssim_weight * d.ssim;
}

}  // namespace

void bind_ssim(nb::module_& m) {
    m.def("image_distance", &image_distance<float>, nb::arg("image"), nb::arg("target"), nb::arg("l1_weight"),
          nb::arg("ssim_weight"), nb::arg("grad").none());
    m.def("image_distance", &image_distance<double>, nb::arg("image"), nb::arg("target"), nb::arg("l1_weight"),
          nb::arg("ssim_weight"), nb::arg("grad").none());
}
