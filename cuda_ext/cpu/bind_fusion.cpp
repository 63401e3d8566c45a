// SPDX-License-Identifier: Apache-2.0
#include "bind_camera.h"
#include "fusion.h"

namespace {

template <class T>
milo::FusionPoints<T> input(const Array<T>& points, const Array<T>& depth, const Array<double>& viewmat,
                            const Array<double>& K, double near, double far) {
    const int height = int(depth.shape(0)), width = int(depth.shape(1));
    const milo::DepthView<double> view{motion(viewmat), lens(K), height, width, near, far};
    return {points.data(), int64_t(points.shape(0)), view, depth.data()};
}

template <class T>
void bind(nb::module_& m) {
    using Values = Array<T>;
    using Matrix = Array<double>;
    m.def("fuse_depth", [](Values points, Values depth, Matrix viewmat, Matrix K, double near, double far,
                           double truncation, bool nearest, Values value, Values weight) {
        const auto in = input<T>(points, depth, viewmat, K, near, far);
        nb::gil_scoped_release unlocked;
        milo::fuse_depth(in, truncation, nearest, value.data(), weight.data());
    });
    m.def("fuse_colors", [](Values points, Values depth, Matrix viewmat, Matrix K, double near, double far,
                            double truncation, Values image, Values value, Values weight, Values colors) {
        const auto in = input<T>(points, depth, viewmat, K, near, far);
        nb::gil_scoped_release unlocked;
        milo::fuse_colors(in, truncation, image.data(), value.data(), weight.data(), colors.data());
    });
    m.def("carve_labels", [](Values points, Values depth, Matrix viewmat, Matrix K, double near, double far,
                             Array<uint8_t> labels) {
        const auto in = input<T>(points, depth, viewmat, K, near, far);
        nb::gil_scoped_release unlocked;
        milo::carve_labels(in, labels.data());
    });
}

}  // namespace

void bind_fusion(nb::module_& m) {
    bind<float>(m);
    bind<double>(m);
}
