// SPDX-License-Identifier: Apache-2.0
// CPU driver of the losses between the mesh's maps and the Gaussians' depths: rows in parallel, only gathers.
#include <nanobind/stl/optional.h>

#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "bind_camera.h"
#include "parallel.h"

namespace milo {
using std::log1p;
using std::sqrt;
}
#include "mesh_loss.h"

namespace milo {
namespace {

constexpr int64_t kRows = 16;   // unit of work: fixed, so that sums do not depend on the number of threads

template <class T>
struct Maps {
    MeshMaps<T> mesh;
    SplatDepths<T> splats;
    T extent;
};

template <class T>
using Maybe = std::optional<Array<T>>;

template <class T>
Maps<T> maps_of(const Array<T>& depth, const Array<T>& normal, const Array<T>& median, const Maybe<T>& expected,
                const Array<double>& K, double median_share, double extent) {
    const Pinhole<double> k = lens(K);
    const int height = int(depth.shape(0)), width = int(depth.shape(1));
    return {{depth.data(), normal.data(), int64_t(height) * width},
            splat_depths<T>(median.data(), expected ? expected->data() : nullptr, T(median_share),
                            {T(k.fx), T(k.fy), T(k.cx), T(k.cy)}, height, width),
            T(extent)};
}

template <class T>
void forward(Array<T> depth, Array<T> normal, Array<T> median, Maybe<T> expected, Array<double> K, double median_share,
             double extent, double depth_factor, double normal_factor, Array<T> terms) {
    const Maps<T> maps = maps_of(depth, normal, median, expected, K, median_share, extent);
    T* out = terms.data();
    nb::gil_scoped_release release;
    const int height = maps.splats.median.height, width = maps.splats.median.width;
    std::vector<std::array<double, 2>> bands((height + kRows - 1) / kRows);
    parallel_for(height, kRows, [&](int64_t begin, int64_t end, int) {
        std::array<double, 2> sums{};
        for (int j = int(begin); j < end; ++j)
            for (int i = 0; i < width; ++i) {
                const ViewLoss<T> loss = view_loss(maps.mesh, maps.splats, maps.extent, i, j);
                sums[0] += loss.depth, sums[1] += loss.normal;
            }
        bands[begin / kRows] = sums;
    });
    double sums[2] = {};
    for (const auto& band : bands) sums[0] += band[0], sums[1] += band[1];
    out[0] = T(depth_factor * sums[0]), out[1] = T(normal_factor * sums[1]);
}

template <class T>
void backward(Array<T> depth, Array<T> normal, Array<T> median, Maybe<T> expected, Array<double> K, double median_share,
              double extent, double depth_factor, double normal_factor, Array<T> g_depth, Array<T> g_normal,
              Array<T> g_mesh_depth, Array<T> g_mesh_normal, Maybe<T> g_median, Maybe<T> g_expected) {
    const Maps<T> maps = maps_of(depth, normal, median, expected, K, median_share, extent);
    const T by_depth = T(depth_factor) * *g_depth.data(), by_normal = T(normal_factor) * *g_normal.data();
    T *depth_out = g_mesh_depth.data(), *normal_out = g_mesh_normal.data();
    T* splat_out[2] = {g_median ? g_median->data() : nullptr, g_expected ? g_expected->data() : nullptr};
    nb::gil_scoped_release release;
    const SplatDepths<T>& splats = maps.splats;
    const DepthMap<T>* splat_maps[2] = {&splats.median, &splats.expected};
    const T share[2] = {splats.median_share, 1 - splats.median_share};
    const int64_t pixels = maps.mesh.pixels;
    parallel_for(splats.median.height, kRows, [&](int64_t begin, int64_t end, int) {
        for (int j = int(begin); j < end; ++j)
            for (int i = 0; i < splats.median.width; ++i) {
                const int64_t p = splats.at(i, j);
                const T slope = by_depth * depth_loss_slope(maps.mesh, splats, maps.extent, i, j);
                const Vec3<T> normal_here = splats.normal(i, j);
                const Vec3<T> g = by_normal * normal_loss_slope(maps.mesh, p, normal_here) * normal_here;
                depth_out[p] = slope;
                normal_out[p] = g.x, normal_out[p + pixels] = g.y, normal_out[p + 2 * pixels] = g.z;
                for (int k = 0; k < 2; ++k) {
                    if (!splat_out[k]) continue;
                    const T by_depth_of_map = depth_gradient(*splat_maps[k], i, j, [&](int x, int y) {
                        return normal_loss_differences(maps.mesh, splats, *splat_maps[k], x, y);
                    });
                    splat_out[k][p] = share[k] * (by_normal * by_depth_of_map - slope);
                }
            }
    });
}

template <class T>
void bind(nb::module_& m) {
    using namespace nb::literals;
    m.def("view_loss", &forward<T>, "mesh_depth"_a, "mesh_normal"_a, "median"_a, "expected"_a.none(), "K"_a,
          "median_share"_a, "extent"_a, "depth_factor"_a, "normal_factor"_a, "terms"_a);
    m.def("view_loss_backward", &backward<T>, "mesh_depth"_a, "mesh_normal"_a, "median"_a, "expected"_a.none(), "K"_a,
          "median_share"_a, "extent"_a, "depth_factor"_a, "normal_factor"_a, "g_depth"_a, "g_normal"_a,
          "g_mesh_depth"_a, "g_mesh_normal"_a, "g_median"_a.none(), "g_expected"_a.none());
}

}  // namespace
}  // namespace milo

void bind_mesh_losses(nb::module_& m) {
    milo::bind<float>(m);
    milo::bind<double>(m);
}
