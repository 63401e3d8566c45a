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
using In = Array<const T>;

template <class T>
DepthMap<T> map_of(const In<T>& depth, const Array<double>& K) {
    const Pinhole<double> k = lens(K);
    return {depth.data(), {T(k.fx), T(k.fy), T(k.cx), T(k.cy)}, int(depth.shape(0)), int(depth.shape(1))};
}

template <class T>
Vec3<T> plane3(const T* planes, size_t at, size_t size) {
    return {planes[at], planes[at + size], planes[at + 2 * size]};
}

template <class T>
void set_plane3(T* planes, size_t at, size_t size, Vec3<T> value) {
    planes[at] = value.x, planes[at + size] = value.y, planes[at + 2 * size] = value.z;
}

// work(i, j) for every pixel, rows in parallel.
template <class Work>
void each_pixel(int height, int width, Work work) {
    parallel_for(height, 8, [&](int64_t begin, int64_t end, int) {
        for (int j = int(begin); j < end; ++j)
            for (int i = 0; i < width; ++i) work(i, j);
    });
}

template <class T>
void forward(In<T> depth, Array<double> K, Array<T> normal) {
    const DepthMap<T> map = map_of<T>(depth, K);
    const size_t plane = size_t(map.height) * map.width;
    T* out = normal.data();
    nb::gil_scoped_release release;
    each_pixel(map.height, map.width, [&](int i, int j) { set_plane3(out, map.at(i, j), plane, map.normal(i, j)); });
}

// out = scale times the gradient of the depths, grad [3, H, W] that of the normals.
template <class T>
void gather(const DepthMap<T>& map, const T* grad, T scale, T* out) {
    const size_t plane = size_t(map.height) * map.width;
    std::vector<DifferenceGrads<T>> differences(plane);
    each_pixel(map.height, map.width, [&](int i, int j) {
        differences[map.at(i, j)] = difference_gradients(map, i, j, plane3(grad, map.at(i, j), plane));
    });
    each_pixel(map.height, map.width, [&](int i, int j) {
        out[map.at(i, j)] = scale * depth_gradient(map, i, j, [&](int x, int y) {
            const bool within = x >= 0 && y >= 0 && x < map.width && y < map.height;
            return within ? differences[map.at(x, y)] : DifferenceGrads<T>{{0, 0, 0}, {0, 0, 0}};
        });
    });
}

template <class T>
void backward(In<T> depth, Array<double> K, In<T> grad_normal, Array<T> grad_depth) {
    const DepthMap<T> map = map_of<T>(depth, K);
    const T* grad = grad_normal.data();
    T* out = grad_depth.data();
    nb::gil_scoped_release release;
    gather(map, grad, T(1), out);
}

template <class T>
void agreement(In<T> normal, In<T> median, In<T> expected, Array<double> K, double share, double scale, double offset,
               Array<T> loss) {
    const DepthMap<T> a = map_of<T>(median, K), b = map_of<T>(expected, K);
    const size_t plane = size_t(a.height) * a.width;
    const T* n = normal.data();
    T* out = loss.data();
    nb::gil_scoped_release release;
    std::vector<double> rows(a.height);   // added in a fixed order
    parallel_for(a.height, 8, [&](int64_t begin, int64_t end, int) {
        for (int j = int(begin); j < end; ++j) {
            double sum = 0;
            for (int i = 0; i < a.width; ++i)
                sum += dot(plane3(n, a.at(i, j), plane), T(1 - share) * a.normal(i, j) + T(share) * b.normal(i, j));
            rows[j] = sum;
        }
    });
    double total = 0;
    for (const double row : rows) total += row;
    *out = T(offset + scale * total);
}

template <class T>
void agreement_backward(In<T> normal, In<T> median, In<T> expected, Array<double> K, double share, double scale, In<T> g,
                        Array<T> grad_normal, Array<T> grad_median, Array<T> grad_expected) {
    const DepthMap<T> a = map_of<T>(median, K), b = map_of<T>(expected, K);
    const size_t plane = size_t(a.height) * a.width;
    const T of_b = *g.data() * T(scale) * T(share), of_a = *g.data() * T(scale) - of_b;
    const T* n = normal.data();
    T *out = grad_normal.data(), *out_a = grad_median.data(), *out_b = grad_expected.data();
    nb::gil_scoped_release release;
    each_pixel(a.height, a.width, [&](int i, int j) {
        set_plane3(out, a.at(i, j), plane, of_a * a.normal(i, j) + of_b * b.normal(i, j));
    });
    gather(a, n, of_a, out_a);
    gather(b, n, of_b, out_b);
}

template <class T>
void bind(nb::module_& m) {
    m.def("depth_normals", &forward<T>);
    m.def("depth_normals_backward", &backward<T>);
    m.def("normal_agreement", &agreement<T>);
    m.def("normal_agreement_backward", &agreement_backward<T>);
}

}  // namespace
}  // namespace milo

void bind_depth_normals(nb::module_& m) {
    milo::bind<float>(m);
    milo::bind<double>(m);
}
