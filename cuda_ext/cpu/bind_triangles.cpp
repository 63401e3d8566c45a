// SPDX-License-Identifier: Apache-2.0
#include <nanobind/stl/optional.h>

#include <optional>

#include "bindings.h"
#include "triangles.h"

namespace {

using Matrix = Array<double>;

milo::RigidMotion<double> motion(const Matrix& viewmat) {
    const double* m = viewmat.data();
    return {{{m[0], m[1], m[2]}, {m[4], m[5], m[6]}, {m[8], m[9], m[10]}}, {m[3], m[7], m[11]}};
}

milo::Pinhole<double> lens(const Matrix& K) {
    const double* k = K.data();
    return {k[0], k[4], k[2], k[5]};
}

template <class T>
milo::SeenMesh<T> mesh(const Array<T>& verts, const Array<int32_t>& faces, const Matrix& viewmat, const Matrix& K) {
    return {verts.data(), faces.data(), int64_t(verts.shape(0)), int64_t(faces.shape(0)), motion(viewmat), lens(K)};
}

milo::FaceImage faces_of(const Array<int32_t>& face_id) {
    return {face_id.data(), int(face_id.shape(0)), int(face_id.shape(1))};
}

template <class T>
T* data_or_null(const std::optional<Array<T>>& array) {
    return array ? array->data() : nullptr;
}

template <class T>
void bind(nb::module_& m) {
    using Values = Array<T>;
    using Ids = Array<int32_t>;
    m.def("visibility", [](Values verts, Ids faces, Matrix viewmat, Matrix K, double near, double far, Ids face_id) {
        const auto seen = mesh<T>(verts, faces, viewmat, K);
        nb::gil_scoped_release unlocked;
        milo::visibility(seen, int(face_id.shape(0)), int(face_id.shape(1)), near, far, face_id.data());
    });
    m.def("face_depth", [](Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K, Values depth) {
        const auto seen = mesh<T>(verts, faces, viewmat, K);
        nb::gil_scoped_release unlocked;
        milo::face_depth(seen, faces_of(face_id), depth.data());
    });
    m.def("face_depth_backward", [](Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K, Values g, Values g_verts) {
        const auto seen = mesh<T>(verts, faces, viewmat, K);
        nb::gil_scoped_release unlocked;
        milo::face_depth_backward(seen, faces_of(face_id), g.data(), g_verts.data());
    });
    m.def("face_normals", [](Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K, Values normal) {
        const auto seen = mesh<T>(verts, faces, viewmat, K);
        nb::gil_scoped_release unlocked;
        milo::face_normals(seen, faces_of(face_id), normal.data());
    });
    m.def("face_normals_backward", [](Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K, Values g, Values g_verts) {
        const auto seen = mesh<T>(verts, faces, viewmat, K);
        nb::gil_scoped_release unlocked;
        milo::face_normals_backward(seen, faces_of(face_id), g.data(), g_verts.data());
    });
    m.def("interpolate", [](Values attributes, Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K, Values out) {
        const auto seen = mesh<T>(verts, faces, viewmat, K);
        nb::gil_scoped_release unlocked;
        milo::interpolate(seen, faces_of(face_id), attributes.data(), int(attributes.shape(1)), out.data());
    });
    m.def("interpolate_backward",
          [](Values attributes, Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K, Values g,
             std::optional<Values> g_attributes, std::optional<Values> g_verts) {
              const auto seen = mesh<T>(verts, faces, viewmat, K);
              nb::gil_scoped_release unlocked;
              milo::interpolate_backward(seen, faces_of(face_id), attributes.data(), int(attributes.shape(1)), g.data(),
                                         data_or_null(g_attributes), data_or_null(g_verts));
          },
          nb::arg("attributes"), nb::arg("verts"), nb::arg("faces"), nb::arg("face_id"), nb::arg("viewmat"), nb::arg("K"),
          nb::arg("g"), nb::arg("g_attributes").none(), nb::arg("g_verts").none());
}

}  // namespace

void bind_triangles(nb::module_& m) {
    bind<float>(m);
    bind<double>(m);
}
