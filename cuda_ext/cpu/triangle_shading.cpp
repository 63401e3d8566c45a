// SPDX-License-Identifier: Apache-2.0
// Depth, normals and attributes of the faces that pixels see, and the way back.  Spec: rasterization.md, 7.2.
#include <array>

#include "face_pixels.h"
#include "vertex_sums.h"

namespace milo {
template <class T>
void face_depth(const SeenMesh<T>& mesh, FaceImage image, T* depth) {
    each_pixel(
        mesh, image,
        [&](int64_t p, const CurrentFace<T>& face, Vec2<double> ray) {
            depth[p] = static_cast<T>(hit(face.triangle, ray).depth(face.triangle));
        },
        [&](int64_t p) { depth[p] = 0; });
}

template <class T>
void face_depth_backward(const SeenMesh<T>& mesh, FaceImage image, const T* g_depth, T* g_verts) {
    VertexSums<T> sums(num_bands(image.height), 3, 3 * kBandRows * image.width);
    each_run<Vec3<double>>(
        mesh, image,
        [&](int64_t p, const CurrentFace<T>& face, Vec2<double> ray, Vec3<double>& factors) {
            const Hit<double> h = hit(face.triangle, ray);
            const double g = g_depth[p];
            factors = factors + g * Vec3<double>{depth_factor(h, 0), depth_factor(h, 1), depth_factor(h, 2)};
        },
        [&](int64_t band, const CurrentFace<T>& face, Vec3<double> factors) {
            const Vec3<double> n = mesh.pose.rotate_back(face.triangle.normal());
            sums.add(band, face.corners[0], factors.x * n);
            sums.add(band, face.corners[1], factors.y * n);
            sums.add(band, face.corners[2], factors.z * n);
        });
    sums.into(g_verts);
}

template <class T>
void face_normals(const SeenMesh<T>& mesh, FaceImage image, T* normal) {
    const int64_t pixels = int64_t(image.height) * image.width;
    each_pixel(
        mesh, image,
        [&](int64_t p, const CurrentFace<T>& face, Vec2<double>) {
            const Vec3<double> n = unit_normal(face.triangle);
            normal[p] = static_cast<T>(n.x);
            normal[p + pixels] = static_cast<T>(n.y);
            normal[p + 2 * pixels] = static_cast<T>(n.z);
        },
        [&](int64_t p) { normal[p] = normal[p + pixels] = normal[p + 2 * pixels] = 0; });
}

template <class T>
void face_normals_backward(const SeenMesh<T>& mesh, FaceImage image, const T* g_normal, T* g_verts) {
    const int64_t pixels = int64_t(image.height) * image.width;
    VertexSums<T> sums(num_bands(image.height), 3, 3 * kBandRows * image.width);
    each_run<Vec3<double>>(
        mesh, image,
        [&](int64_t p, const CurrentFace<T>&, Vec2<double>, Vec3<double>& g) {
            g = g + Vec3<double>{double(g_normal[p]), double(g_normal[p + pixels]), double(g_normal[p + 2 * pixels])};
        },
        [&](int64_t band, const CurrentFace<T>& face, Vec3<double> g) {
            Vec3<double> grad[3] = {};
            unit_normal_backward(face.triangle, g, grad);
            for (int k = 0; k < 3; ++k) sums.add(band, face.corners[k], mesh.pose.rotate_back(grad[k]));
        });
    sums.into(g_verts);
}

template <class T>
void face_maps(const SeenMesh<T>& mesh, FaceImage image, T* depth, T* normal) {
    const int64_t pixels = int64_t(image.height) * image.width;
    const auto put = [&](int64_t p, double z, Vec3<double> n) {
        depth[p] = static_cast<T>(z);
        normal[p] = static_cast<T>(n.x);
        normal[p + pixels] = static_cast<T>(n.y);
        normal[p + 2 * pixels] = static_cast<T>(n.z);
    };
    each_pixel(
        mesh, image,
        [&](int64_t p, const CurrentFace<T>& face, Vec2<double> ray) {
            put(p, hit(face.triangle, ray).depth(face.triangle), unit_normal(face.triangle));
        },
        [&](int64_t p) { put(p, 0, {0, 0, 0}); });
}

template <class T>
void face_maps_backward(const SeenMesh<T>& mesh, FaceImage image, const T* g_depth, const T* g_normal, T* g_verts) {
    struct Sum {
        double factors[3] = {};
        Vec3<double> normal{0, 0, 0};
    };
    const int64_t pixels = int64_t(image.height) * image.width;
    VertexSums<T> sums(num_bands(image.height), 3, 3 * kBandRows * image.width);
    each_run<Sum>(
        mesh, image,
        [&](int64_t p, const CurrentFace<T>& face, Vec2<double> ray, Sum& sum) {
            const Hit<double> h = hit(face.triangle, ray);
            for (int k = 0; k < 3; ++k) sum.factors[k] += g_depth[p] * depth_factor(h, k);
            sum.normal += Vec3<double>{double(g_normal[p]), double(g_normal[p + pixels]), double(g_normal[p + 2 * pixels])};
        },
        [&](int64_t band, const CurrentFace<T>& face, const Sum& sum) {
            Vec3<double> grad[3] = {};
            unit_normal_backward(face.triangle, sum.normal, grad);
            const Vec3<double> n = face.triangle.normal();
            for (int k = 0; k < 3; ++k)
                sums.add(band, face.corners[k], mesh.pose.rotate_back(grad[k] + sum.factors[k] * n));
        });
    sums.into(g_verts);
}

template <class T>
void interpolate(const SeenMesh<T>& mesh, FaceImage image, const T* attributes, int channels, T* out) {
    const int64_t pixels = int64_t(image.height) * image.width;
    each_pixel(
        mesh, image,
        [&](int64_t p, const CurrentFace<T>& face, Vec2<double> ray) {
            const Hit<double> h = hit(face.triangle, ray);
            for (int c = 0; c < channels; ++c) {
                double sum = 0;
                for (int k = 0; k < 3; ++k) sum += h.weight[k] * attributes[int64_t(face.corners[k]) * channels + c];
                out[p + c * pixels] = static_cast<T>(sum);
            }
        },
        [&](int64_t p) {
            for (int c = 0; c < channels; ++c) out[p + c * pixels] = 0;
        });
}

template <class T>
void interpolate_backward(const SeenMesh<T>& mesh, FaceImage image, const T* attributes, int channels, const T* g_out,
                          T* g_attributes, T* g_verts) {
    const int64_t pixels = int64_t(image.height) * image.width, bands = num_bands(image.height);
    const int64_t expected = 3 * kBandRows * image.width;   // a row for each corner and pixel
    VertexSums<T> attribute_sums(bands, channels, expected), vertex_sums(bands, 3, expected);
    std::vector<std::vector<double>> rows(bands, std::vector<double>(3 * channels));   // sums of the run, per corner
    each_run<std::array<Vec3<double>, 3>>(
        mesh, image,
        [&](int64_t p, const CurrentFace<T>& face, Vec2<double> ray, std::array<Vec3<double>, 3>& grad) {
            const Hit<double> h = hit(face.triangle, ray);
            double* row = rows[p / (int64_t(image.width) * kBandRows)].data();
            double g_weight[3] = {};
            for (int k = 0; k < 3; ++k)
                for (int c = 0; c < channels; ++c) {
                    const double g = g_out[p + c * pixels];
                    row[k * channels + c] += h.weight[k] * g;
                    g_weight[k] += g * attributes[int64_t(face.corners[k]) * channels + c];
                }
            weights_backward(face.triangle, ray, h, g_weight, grad.data());
        },
        [&](int64_t band, const CurrentFace<T>& face, const std::array<Vec3<double>, 3>& grad) {
            for (int k = 0; k < 3; ++k) {
                if (g_attributes) attribute_sums.add(band, face.corners[k], rows[band].data() + k * channels);
                if (g_verts) vertex_sums.add(band, face.corners[k], mesh.pose.rotate_back(grad[k]));
            }
            std::fill(rows[band].begin(), rows[band].end(), 0.0);
        });
    if (g_attributes) attribute_sums.into(g_attributes);
    if (g_verts) vertex_sums.into(g_verts);
}

#define MILO_INSTANTIATE(T)                                                                              \
    template void face_depth(const SeenMesh<T>&, FaceImage, T*);                                         \
    template void face_depth_backward(const SeenMesh<T>&, FaceImage, const T*, T*);                      \
    template void face_normals(const SeenMesh<T>&, FaceImage, T*);                                       \
    template void face_normals_backward(const SeenMesh<T>&, FaceImage, const T*, T*);                    \
    template void face_maps(const SeenMesh<T>&, FaceImage, T*, T*);                                      \
    template void face_maps_backward(const SeenMesh<T>&, FaceImage, const T*, const T*, T*);             \
    template void interpolate(const SeenMesh<T>&, FaceImage, const T*, int, T*);                         \
    template void interpolate_backward(const SeenMesh<T>&, FaceImage, const T*, int, const T*, T*, T*);
MILO_INSTANTIATE(float)
MILO_INSTANTIATE(double)
#undef MILO_INSTANTIATE

}  // namespace milo
