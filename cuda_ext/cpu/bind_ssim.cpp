// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include <nanobind/stl/optional.h>

#include "bindings.h"
#include "ssim.h"

namespace {

template <class T>
void image_distance(Array<const T> image, Array<const T> target, double l1_weight, double ssim_weight, double offset,
                    std::optional<Array<T>> derivatives, Array<T> distance) {
    nb::gil_scoped_release release;
    const milo::ImageDistance d =
        milo::image_distance<T>(image.data(), target.data(), image.shape(0), image.shape(1), image.shape(2), ssim_weight,
                                derivatives ? derivatives->data() : nullptr);
    *distance.data() = T(l1_weight * d.l1 + ssim_weight * d.ssim + offset);
}

template <class T>
void image_distance_backward(Array<const T> image, Array<const T> target, Array<const T> derivatives, double l1_weight,
                             Array<const T> g, Array<T> grad) {
    nb::gil_scoped_release release;
    milo::image_distance_backward<T>(image.data(), target.data(), derivatives.data(), image.shape(0), image.shape(1),
                                     image.shape(2), l1_weight, *g.data(), grad.data());
}

template <class T>
void bind(nb::module_& m) {
    m.def("image_distance", &image_distance<T>, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
          nb::arg().none(), nb::arg());
    m.def("image_distance_backward", &image_distance_backward<T>);
}

}  // namespace

void bind_ssim(nb::module_& m) {
    bind<float>(m);
    bind<double>(m);
}
