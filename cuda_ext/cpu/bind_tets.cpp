// SPDX-License-Identifier: Apache-2.0
#include <nanobind/stl/optional.h>

#include <optional>

#include "bindings.h"
#include "tets.h"

namespace {

using Ints = Array<const int32_t>;

template <size_t N, class T>
auto rows(const Array<T>& array) {
    return reinterpret_cast<T (*)[N]>(array.data());
}

template <class T>
milo::TetField<T> field_of(const Array<const T>& points, const Array<const T>& sdf, const T* radii, const Ints& edges) {
    return {rows<3>(points), sdf.data(), radii, static_cast<int64_t>(sdf.size()), rows<2>(edges),
            static_cast<int64_t>(edges.size() / 2)};
}

// A surface that is there at once.  The CUDA driver's knows its size on the GPU only, and waits for it.
struct Crossings {
    nb::object verts, faces, edge_ids;
};

template <class T>
void bind_march(nb::module_& m) {
    using namespace nb::literals;
    m.def("find_crossings",
          [](const Array<const T>& points, const Array<const T>& sdf, const std::optional<Array<const T>>& radii,
             const Ints& tets, const Ints& edges, const Ints& tet_edges) {
              milo::Surface<T> surface;
              {
                  nb::gil_scoped_release release;
                  surface = milo::march(field_of(points, sdf, radii ? radii->data() : nullptr, edges), rows<4>(tets),
                                        rows<6>(tet_edges), tets.size() / 4);
              }
              const size_t verts = surface.verts.size() / 3, faces = surface.faces.size() / 3;
              return Crossings{nb::cast(to_numpy(std::move(surface.verts), {verts, size_t{3}})),
                               nb::cast(to_numpy(std::move(surface.faces), {faces, size_t{3}})),
                               nb::cast(to_numpy(std::move(surface.edge_ids), {verts}))};
          },
          "points"_a, "sdf"_a, "radii"_a.none(), "tets"_a, "edges"_a, "tet_edges"_a);
    m.def("march_backward", [](const Array<const T>& points, const Array<const T>& sdf, const Ints& edges,
                               const Ints& edge_ids, const Array<const T>& grad_verts, const Array<T>& grad_points,
                               const Array<T>& grad_sdf) {
        nb::gil_scoped_release release;
        milo::march_backward(field_of(points, sdf, static_cast<const T*>(nullptr), edges), edge_ids.data(), edge_ids.size(), rows<3>(grad_verts),
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
    nb::class_<Crossings>(m, "Crossings")
        .def_prop_ro("counts", [](const Crossings&) { return nb::none(); })
        .def("surface", [](const Crossings& found, nb::args) {
            return nb::make_tuple(found.verts, found.faces, found.edge_ids);
        });
    bind_march<float>(m);
    bind_march<double>(m);
}
