// SPDX-License-Identifier: Apache-2.0
// CPU driver of depth_normals: rows in parallel, forward per pixel, backward as a gather.
#include <cmath>
#include <vector>

#include "bind_camera.h"
#include "parallel.h"

namespace milo {
using std::sqrt;
}
#include "depth_normal.h"

namespace milo {
namespace {

template <class T>
struct Map {
    const T* depth;
    Pinhole<T> camera;
    int height, width;

    Vec3<T> point(int i, int j) const { return back_project(camera, i, j, depth[size_t(j) * width + i]); }
    Vec3<T> vertical(int i, int j) const { return point(i, j + 1) - point(i, j - 1); }
    Vec3<T> horizontal(int i, int j) const { return point(i + 1, j) - point(i - 1, j); }
};

template <class T>
Map<T> map_of(const Array<T>& depth, const Array<double>& K) {
    const Pinhole<double> k = lens(K);
    return {depth.data(), {T(k.fx), T(k.fy), T(k.cx), T(k.cy)}, int(depth.shape(0)), int(depth.shape(1))};
}

template <class T>
void forward(Array<T> depth, Array<double> K, Array<T> normal) {
    const Map<T> map = map_of(depth, K);
    const size_t plane = size_t(map.height) * map.width;
    T* out = normal.data();
    nb::gil_scoped_release release;
    parallel_for(map.height, 8, [&](int64_t begin, int64_t end, int) {
        for (int j = int(begin); j < end; ++j)
            for (int i = 0; i < map.width; ++i) {
                const bool border = i == 0 || j == 0 || i + 1 == map.width || j + 1 == map.height;
                const Vec3<T> n = border ? Vec3<T>{0, 0, 0} : neighbour_normal(map.vertical(i, j), map.horizontal(i, j));
                T* pixel = out + size_t(j) * map.width + i;
                pixel[0] = n.x, pixel[plane] = n.y, pixel[2 * plane] = n.z;
            }
    });
}

template <class T>
void backward(Array<T> depth, Array<double> K, Array<T> grad_normal, Array<T> grad_depth) {
    const Map<T> map = map_of(depth, K);
    const size_t plane = size_t(map.height) * map.width;
    const T* g = grad_normal.data();
    T* out = grad_depth.data();
    nb::gil_scoped_release release;
    // dL/d(vertical) and dL/d(horizontal) of every inner pixel, then each depth gathers from its four neighbours.
    std::vector<Vec3<T>> vertical(plane), horizontal(plane);
    parallel_for(map.height, 8, [&](int64_t begin, int64_t end, int) {
        for (int j = int(begin); j < end; ++j)
            for (int i = 0; i < map.width; ++i) {
                const size_t at = size_t(j) * map.width + i;
                if (i == 0 || j == 0 || i + 1 == map.width || j + 1 == map.height)
                    vertical[at] = horizontal[at] = {0, 0, 0};
                else
                    neighbour_normal_backward(map.vertical(i, j), map.horizontal(i, j),
                                              {g[at], g[at + plane], g[at + 2 * plane]}, vertical[at], horizontal[at]);
            }
    });
    parallel_for(map.height, 8, [&](int64_t begin, int64_t end, int) {
        for (int j = int(begin); j < end; ++j)
            for (int i = 0; i < map.width; ++i) {
                const size_t at = size_t(j) * map.width + i;
                Vec3<T> sum{0, 0, 0};
                if (j > 0) sum = sum + vertical[at - map.width];
                if (j + 1 < map.height) sum = sum - vertical[at + map.width];
                if (i > 0) sum = sum + horizontal[at - 1];
                if (i + 1 < map.width) sum = sum - horizontal[at + 1];
                out[at] = dot(sum, back_project(map.camera, i, j, T(1)));
            }
    });
}

template <class T>
void bind(nb::module_& m) {
    m.def("depth_normals", &forward<T>);
    m.def("depth_normals_backward", &backward<T>);
}

}  // namespace
}  // namespace milo

void bind_depth_normals(nb::module_& m) {
    milo::bind<float>(m);
    milo::bind<double>(m);
}
