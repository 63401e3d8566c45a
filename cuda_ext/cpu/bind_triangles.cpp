// SPDX-License-Identifier: Apache-2.0
#include <nanobind/stl/optional.h>

#include <optional>

#include "bind_camera.h"
#include "triangles.h"

namespace {

using Matrix = Array<double>;
using Ids = Array<int32_t>;

template <class T>
milo::SeenMesh<T> mesh(const Array<T>& verts, const Ids& faces, const Matrix& viewmat, const Matrix& K) {
    return {verts.data(), faces.data(), int64_t(verts.shape(0)), int64_t(faces.shape(0)), motion(viewmat), lens(K)};
}

milo::FaceImage face_image(const Ids& face_id) {
    return {face_id.data(), int(face_id.shape(0)), int(face_id.shape(1))};
}

template <class T>
T* data_or_null(const std::optional<Array<T>>& array) {
    return array ? array->data() : nullptr;
}

milo::SilhouettePairs pairs_from(const Ids& pixel, const Ids& direction, const Ids& edge, const Array<double>& s) {
    const auto copy = [](const auto& array) { return std::vector(array.data(), array.data() + array.size()); };
    return {copy(pixel), copy(direction), copy(edge), copy(s)};
}

nb::tuple pairs_to_numpy(milo::SilhouettePairs&& pairs) {
    const size_t count = pairs.s.size();
    return nb::make_tuple(to_numpy(std::move(pairs.pixel), {count}), to_numpy(std::move(pairs.direction), {count}),
                          to_numpy(std::move(pairs.edge), {count, 2}), to_numpy(std::move(pairs.s), {count}));
}

template <class T>
void bind(nb::module_& m) {
    using Values = Array<T>;
    using namespace nb::literals;

    m.def("visibility", [](Values verts, Ids faces, Matrix viewmat, Matrix K, double near, double far, Ids face_id) {
        const auto seen = mesh<T>(verts, faces, viewmat, K);
        nb::gil_scoped_release unlocked;
        milo::visibility(seen, int(face_id.shape(0)), int(face_id.shape(1)), near, far, face_id.data());
    });
    m.def("face_depth", [](Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K, Values depth) {
        const auto seen = mesh<T>(verts, faces, viewmat, K);
        nb::gil_scoped_release unlocked;
        milo::face_depth(seen, face_image(face_id), depth.data());
    });
    m.def("face_depth_backward",
          [](Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K, Values g_depth, Values g_verts) {
              const auto seen = mesh<T>(verts, faces, viewmat, K);
              nb::gil_scoped_release unlocked;
              milo::face_depth_backward(seen, face_image(face_id), g_depth.data(), g_verts.data());
          });
    m.def("face_normals", [](Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K, Values normal) {
        const auto seen = mesh<T>(verts, faces, viewmat, K);
        nb::gil_scoped_release unlocked;
        milo::face_normals(seen, face_image(face_id), normal.data());
    });
    m.def("face_normals_backward",
          [](Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K, Values g_normal, Values g_verts) {
              const auto seen = mesh<T>(verts, faces, viewmat, K);
              nb::gil_scoped_release unlocked;
              milo::face_normals_backward(seen, face_image(face_id), g_normal.data(), g_verts.data());
          });
    m.def("interpolate",
          [](Values attributes, Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K, Values out) {
              const auto seen = mesh<T>(verts, faces, viewmat, K);
              nb::gil_scoped_release unlocked;
              milo::interpolate(seen, face_image(face_id), attributes.data(), int(attributes.shape(1)), out.data());
          });
    m.def("interpolate_backward",
          [](Values attributes, Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K, Values g_out,
             std::optional<Values> g_attributes, std::optional<Values> g_verts) {
              const auto seen = mesh<T>(verts, faces, viewmat, K);
              nb::gil_scoped_release unlocked;
              milo::interpolate_backward(seen, face_image(face_id), attributes.data(), int(attributes.shape(1)),
                                         g_out.data(), data_or_null(g_attributes), data_or_null(g_verts));
          },
          "attributes"_a, "verts"_a, "faces"_a, "face_id"_a, "viewmat"_a, "K"_a, "g_out"_a,
          "g_attributes"_a.none(), "g_verts"_a.none());
    m.def("silhouette_pairs", [](Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K) {
        const auto seen = mesh<T>(verts, faces, viewmat, K);
        milo::SilhouettePairs pairs;
        {
            nb::gil_scoped_release unlocked;
            pairs = milo::silhouette_pairs(seen, face_image(face_id));
        }
        return pairs_to_numpy(std::move(pairs));
    });
    m.def("mesh_maps", [](Values verts, Ids faces, Matrix viewmat, Matrix K, double near, double far, bool antialiased,
                          Ids face_id, Values sharp, Values depth, Values normal) {
        const auto seen = mesh<T>(verts, faces, viewmat, K);
        const int height = int(face_id.shape(0)), width = int(face_id.shape(1));
        milo::SilhouettePairs pairs;
        {
            nb::gil_scoped_release unlocked;
            milo::visibility(seen, height, width, near, far, face_id.data());
            milo::face_maps(seen, face_image(face_id), sharp.data(), normal.data());
            if (antialiased) {
                pairs = milo::silhouette_pairs(seen, face_image(face_id));
                milo::antialias(pairs, height, width, 1, sharp.data(), depth.data());
            }
        }
        return antialiased ? pairs_to_numpy(std::move(pairs)) : nb::make_tuple();
    });
    m.def("mesh_maps_backward",
          [](Values verts, Ids faces, Ids face_id, Matrix viewmat, Matrix K, nb::tuple pairs, Values sharp,
             Values g_depth, Values g_normal, Values g_verts) {
              const auto seen = mesh<T>(verts, faces, viewmat, K);
              const int height = int(face_id.shape(0)), width = int(face_id.shape(1));
              const bool antialiased = pairs.size() > 0;
              milo::SilhouettePairs found;
              if (antialiased)
                  found = pairs_from(nb::cast<Ids>(pairs[0]), nb::cast<Ids>(pairs[1]), nb::cast<Ids>(pairs[2]),
                                     nb::cast<Array<double>>(pairs[3]));
              nb::gil_scoped_release unlocked;
              std::vector<T> g_sharp(antialiased ? sharp.size() : 0);
              if (antialiased)
                  milo::antialias_backward(seen, found, height, width, 1, sharp.data(), g_depth.data(), g_sharp.data(),
                                           g_verts.data());
              milo::face_maps_backward(seen, face_image(face_id), antialiased ? g_sharp.data() : g_depth.data(),
                                       g_normal.data(), g_verts.data());
          });
    m.def("antialias", [](Ids pixel, Ids direction, Ids edge, Array<double> s, Values image, Values out) {
        nb::gil_scoped_release unlocked;
        milo::antialias(pairs_from(pixel, direction, edge, s), int(image.shape(1)), int(image.shape(2)),
                        int(image.shape(0)), image.data(), out.data());
    });
    m.def("antialias_backward",
          [](Values verts, Ids faces, Matrix viewmat, Matrix K, Ids pixel, Ids direction, Ids edge, Array<double> s,
             Values image, Values g_out, std::optional<Values> g_image, std::optional<Values> g_verts) {
              const auto seen = mesh<T>(verts, faces, viewmat, K);
              nb::gil_scoped_release unlocked;
              milo::antialias_backward(seen, pairs_from(pixel, direction, edge, s), int(image.shape(1)),
                                       int(image.shape(2)), int(image.shape(0)), image.data(), g_out.data(),
                                       data_or_null(g_image), data_or_null(g_verts));
          },
          "verts"_a, "faces"_a, "viewmat"_a, "K"_a, "pixel"_a, "direction"_a, "edge"_a, "s"_a, "image"_a, "g_out"_a,
          "g_image"_a.none(), "g_verts"_a.none());
}

}  // namespace

void bind_triangles(nb::module_& m) {
    bind<float>(m);
    bind<double>(m);
}
