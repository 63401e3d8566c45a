// SPDX-License-Identifier: Apache-2.0
#include <nanobind/stl/optional.h>
#include <nanobind/stl/unique_ptr.h>

#include <memory>
#include <optional>

#include "bindings.h"
#include "integration.h"
#include "splat_geometry.h"
#include "splat_gof.h"
#include "splat_train.h"

using namespace milo;

namespace {

template <class T>
using In = Array<const T>;
template <class T>
using Out = Array<T>;
template <class T>
using MaybeIn = std::optional<In<T>>;
template <class T>
using MaybeOut = std::optional<Out<T>>;

template <class T>
T* data_or_null(const std::optional<Array<T>>& array) { return array ? array->data() : nullptr; }

template <class T>
Gaussians<T> gaussians(const In<T>& means, const In<T>& scales, const In<T>& quats, const In<T>& opacities,
                       const In<T>& sh_dc, const In<T>& sh_rest, int sh_degree) {
    return {static_cast<int64_t>(means.shape(0)), means.data(), scales.data(), quats.data(), opacities.data(),
            sh_dc.data(), sh_rest.data(), static_cast<int>(sh_rest.shape(1)), sh_degree, nullptr};
}

template <class T>
void bind_geometry(nb::module_& m, const char* name) {
    using Frame = GeometryFrame<T>;
    nb::class_<Frame>(m, name)
        .def_static(
            "render",
            [](In<T> means, In<T> scales, In<T> quats, In<T> opacities, In<T> sh_dc, In<T> sh_rest, int sh_degree,
               In<T> viewmat, In<T> K, int height, int width, In<T> background, double kernel_size, double near_plane,
               Out<T> image, Out<T> alpha, Out<T> expected_depth, Out<T> median_depth, Out<T> normal,
               Out<int32_t> radii) {
                const Gaussians<T> g = gaussians(means, scales, quats, opacities, sh_dc, sh_rest, sh_degree);
                const Camera<T> camera = make_camera(viewmat.data(), K.data(), width, height);
                const GeometryOptions<T> options = {T(kernel_size), T(near_plane), vec3_at(background.data(), 0)};
                const GeometryImages<T> images = {image.data(), alpha.data(), expected_depth.data(),
                                                  median_depth.data(), normal.data()};
                nb::gil_scoped_release unlocked;
                return std::make_unique<Frame>(camera, options, g, images, radii.data());
            })
        .def("backward",
             [](const Frame& frame, In<T> means, In<T> scales, In<T> quats, In<T> opacities, In<T> sh_dc, In<T> sh_rest,
                int sh_degree, In<T> image, In<T> alpha, In<T> expected_depth, In<T> median_depth, In<T> normal,
                In<T> g_image, MaybeIn<T> g_alpha, MaybeIn<T> g_expected_depth, MaybeIn<T> g_median_depth,
                MaybeIn<T> g_normal, Out<T> g_means, Out<T> g_scales, Out<T> g_quats, Out<T> g_opacities,
                Out<T> g_sh_dc, Out<T> g_sh_rest, MaybeOut<T> g_screen) {
                 const Gaussians<T> g = gaussians(means, scales, quats, opacities, sh_dc, sh_rest, sh_degree);
                 const GeometryImages<const T> images = {image.data(), alpha.data(), expected_depth.data(),
                                                         median_depth.data(), normal.data()};
                 const GeometryImageGrads<T> grads = {g_image.data(), data_or_null(g_alpha), data_or_null(g_expected_depth),
                                                      data_or_null(g_median_depth), data_or_null(g_normal)};
                 const GaussianGrads<T> out = {g_means.data(), g_scales.data(), g_quats.data(), g_opacities.data(),
                                               g_sh_dc.data(), g_sh_rest.data(), data_or_null(g_screen)};
                 nb::gil_scoped_release unlocked;
                 frame.backward(g, images, grads, out);
             });
}

template <class T>
void bind_gof(nb::module_& m, const char* name) {
    using Frame = GofFrame<T>;
    nb::class_<Frame>(m, name)
        .def_static(
            "render",
            [](In<T> means, In<T> scales, In<T> quats, In<T> opacities, In<T> sh_dc, In<T> sh_rest, int sh_degree,
               In<T> viewmat, In<T> K, int height, int width, In<T> background, double kernel_size, double near_plane,
               Out<T> image, Out<T> alpha, Out<T> depth, Out<T> normal, Out<int32_t> radii) {
                const Gaussians<T> g = gaussians(means, scales, quats, opacities, sh_dc, sh_rest, sh_degree);
                const Camera<T> camera = make_camera(viewmat.data(), K.data(), width, height);
                const GeometryOptions<T> options = {T(kernel_size), T(near_plane), vec3_at(background.data(), 0)};
                const GofImages<T> images = {image.data(), alpha.data(), depth.data(), normal.data()};
                nb::gil_scoped_release unlocked;
                return std::make_unique<Frame>(camera, options, g, images, radii.data());
            })
        .def("backward", [](const Frame& frame, In<T> means, In<T> scales, In<T> quats, In<T> opacities, In<T> sh_dc,
                            In<T> sh_rest, int sh_degree, In<T> image, In<T> alpha, In<T> depth, In<T> normal,
                            In<T> g_image, MaybeIn<T> g_alpha, MaybeIn<T> g_depth, MaybeIn<T> g_normal, Out<T> g_means,
                            Out<T> g_scales, Out<T> g_quats, Out<T> g_opacities, Out<T> g_sh_dc, Out<T> g_sh_rest,
                            MaybeOut<T> g_screen) {
            const Gaussians<T> g = gaussians(means, scales, quats, opacities, sh_dc, sh_rest, sh_degree);
            const GofImages<const T> images = {image.data(), alpha.data(), depth.data(), normal.data()};
            const GofImageGrads<T> grads = {g_image.data(), data_or_null(g_alpha), data_or_null(g_depth),
                                            data_or_null(g_normal)};
            const GaussianGrads<T> out = {g_means.data(), g_scales.data(), g_quats.data(), g_opacities.data(),
                                          g_sh_dc.data(), g_sh_rest.data(), data_or_null(g_screen)};
            nb::gil_scoped_release unlocked;
            frame.backward(g, images, grads, out);
        });
}

template <class T>
void bind_train(nb::module_& m, const char* name) {
    using Frame = TrainFrame<T>;
    nb::class_<Frame>(m, name)
        .def_static(
            "render",
            [](In<T> means, In<T> scales, In<T> quats, In<T> opacities, In<T> sh_dc, In<T> sh_rest, int sh_degree,
               MaybeIn<bool> cull, In<T> viewmat, In<T> K, int height, int width, In<T> background,
               double near_plane, Out<T> image, Out<int32_t> radii, Out<int32_t> area_max) {
                Gaussians<T> g = gaussians(means, scales, quats, opacities, sh_dc, sh_rest, sh_degree);
                g.cull = data_or_null(cull);
                const Camera<T> camera = make_camera(viewmat.data(), K.data(), width, height);
                nb::gil_scoped_release unlocked;
                return std::make_unique<Frame>(camera, T(near_plane), vec3_at(background.data(), 0), g, image.data(),
                                               radii.data(), area_max.data());
            })
        .def("backward", [](const Frame& frame, In<T> means, In<T> scales, In<T> quats, In<T> opacities, In<T> sh_dc,
                            In<T> sh_rest, int sh_degree, In<T> image, In<T> g_image, Out<T> g_means, Out<T> g_scales,
                            Out<T> g_quats, Out<T> g_opacities, Out<T> g_sh_dc, Out<T> g_sh_rest,
                            MaybeOut<T> g_screen) {
            const Gaussians<T> g = gaussians(means, scales, quats, opacities, sh_dc, sh_rest, sh_degree);
            const GaussianGrads<T> out = {g_means.data(), g_scales.data(), g_quats.data(), g_opacities.data(),
                                          g_sh_dc.data(), g_sh_rest.data(), data_or_null(g_screen)};
            nb::gil_scoped_release unlocked;
            frame.backward(g, image.data(), g_image.data(), out);
        });
}

template <class T>
Gaussians<T> colourless(const In<T>& means, const In<T>& scales, const In<T>& quats, const In<T>& opacities,
                        const MaybeIn<bool>& cull) {
    return {static_cast<int64_t>(means.shape(0)), means.data(), scales.data(), quats.data(), opacities.data(),
            nullptr, nullptr, 0, 0, data_or_null(cull)};
}

template <class T>
void bind_readouts(nb::module_& m) {
    m.def(
        "splat_stats",
        [](In<T> means, In<T> scales, In<T> quats, In<T> opacities, MaybeIn<bool> cull, In<T> viewmat, In<T> K,
           int height, int width, double near_plane, Out<int32_t> radii, Out<T> accum_weights, Out<int32_t> area_proj,
           Out<int32_t> area_max) {
            const Gaussians<T> g = colourless(means, scales, quats, opacities, cull);
            const Camera<T> camera = make_camera(viewmat.data(), K.data(), width, height);
            nb::gil_scoped_release unlocked;
            train_stats(place_for_training(camera, T(near_plane), g, radii.data()), g.count, accum_weights.data(),
                        area_proj.data(), area_max.data());
        });
    m.def(
        "splat_depth",
        [](In<T> means, In<T> scales, In<T> quats, In<T> opacities, MaybeIn<bool> cull, In<T> viewmat, In<T> K,
           int height, int width, double near_plane, Out<int32_t> index, Out<T> points, Out<T> depth,
           Out<T> transmittance) {
            const Gaussians<T> g = colourless(means, scales, quats, opacities, cull);
            const Camera<T> camera = make_camera(viewmat.data(), K.data(), width, height);
            nb::gil_scoped_release unlocked;
            Buffer<int32_t> radii(g.count);
            train_depth(place_for_training(camera, T(near_plane), g, radii.data()), g, index.data(), points.data(),
                        depth.data(), transmittance.data());
        });
    m.def(
        "integrate_points",
        [](In<T> points, In<T> means, In<T> scales, In<T> quats, In<T> opacities, In<T> viewmat, In<T> K, int height,
           int width, bool gof, double near_plane, Out<T> opacity) {
            const Gaussians<T> g = colourless(means, scales, quats, opacities, MaybeIn<bool>());
            const Camera<T> camera = make_camera(viewmat.data(), K.data(), width, height);
            const auto integrate = gof ? &integrate_points<GofSplat<T>, T> : &integrate_points<RadeProbe<T>, T>;
            nb::gil_scoped_release unlocked;
            integrate(camera, T(near_plane), g, points.data(), points.shape(0), opacity.data());
        });
}

}  // namespace

void bind_splats(nb::module_& m) {
    bind_train<float>(m, "TrainFrame32");
    bind_train<double>(m, "TrainFrame64");
    bind_readouts<float>(m);
    bind_readouts<double>(m);
    bind_geometry<float>(m, "GeometryFrame32");
    bind_geometry<double>(m, "GeometryFrame64");
    bind_gof<float>(m, "GofFrame32");
    bind_gof<double>(m, "GofFrame64");
}
