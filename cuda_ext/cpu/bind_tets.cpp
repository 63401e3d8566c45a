// SPDX-License-Identifier: Apache-2.0
#include "bindings.h"
#include "tets.h"

namespace {

using Ints = Array<const int32_t>;

template <size_t N, class T>
auto rows(const Array<T>& array) {
    return reinterpret_cast<T (*)[N]>(array.data());
}

template <class T>
nb::ndarray<nb::numpy, T> to_numpy(milo::Buffer<T>&& values, std::initializer_list<size_t> shape) {
    auto* owned = new milo::Buffer<T>(std::move(values));
    nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<milo::Buffer<T>*>(p); });
    return nb::ndarray<nb::numpy, T>(owned->data(), shape, owner);
}

template <class T>
milo::TetField<T> field_of(const Array<const T>& points, const Array<const T>& sdf, const Ints& edges) {
    return {rows<3>(points), sdf.data(), static_cast<int64_t>(sdf.size()), rows<2>(edges),
            static_cast<int64_t>(edges.size() / 2)};
}

template <class T>
void bind_march(nb::module_& m) {
    m.def("march", [](const Array<const T>& points, const Array<const T>& sdf, const Ints& tets, const Ints& edges,
                      const Ints& tet_edges) {
        milo::Surface<T> surface;
        {
            nb::gil_scoped_release release;
            surface = milo::march(field_of(points, sdf, edges), rows<4>(tets), rows<6>(tet_edges), tets.size() / 4);
        }
        const size_t verts = surface.verts.size() / 3, faces = surface.faces.size() / 3;
        return nb::make_tuple(to_numpy(std::move(surface.verts), {verts, size_t{3}}),
                              to_numpy(std::move(surface.faces), {faces, size_t{3}}),
                              to_numpy(std::move(surface.edge_ids), {verts}));
    });
    m.def("march_backward", [](const Array<const T>& points, const Array<const T>& sdf, const Ints& edges,
                               const Ints& edge_ids, const Array<const T>& grad_verts, const Array<T>& grad_points,
                               const Array<T>& grad_sdf) {
        nb::gil_scoped_release release;
        milo::march_backward(field_of(points, sdf, edges), edge_ids.data(), edge_ids.size(), rows<3>(grad_verts),
                             rows<3>(grad_points), grad_sdf.data());
    });
}

}  // namespace

void bind_tets(nb::module_& m) {
    m.def("unique_edges", [](const Ints& tets, int64_t num_points, const Array<int32_t>& tet_edges) {
        milo::Buffer<int32_t> edges;
        {
            nb::gil_scoped_release release;
            edges = milo::unique_edges(rows<4>(tets), tets.size() / 4, num_points, rows<6>(tet_edges));
        }
        const size_t count = edges.size() / 2;
        return to_numpy(std::move(edges), {count, size_t{2}});
    });
    bind_march<float>(m);
    bind_march<double>(m);
}
