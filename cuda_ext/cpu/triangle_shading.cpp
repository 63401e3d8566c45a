// SPDX-License-Identifier: Apache-2.0
// Depth, normals and interpolated attributes of the faces that pixels see, and the way back.  Spec: rasterization.md, 7.2.
#include <algorithm>
#include <array>

#include "parallel.h"
#include "triangles.h"
#include "vertex_sums.h"

namespace milo {
namespace {

// The face of the current pixel, set up once for neighbouring pixels that share it.
template <class T>
class CurrentFace {
public:
    explicit CurrentFace(const SeenMesh<T>& mesh) : mesh_(mesh) {}

    // True if the face is another than before.
    bool turn_to(int32_t id) {
        if (id == id_) return false;
        corners = mesh_.corners(id);
        triangle = mesh_.triangle(corners);
        id_ = id;
        return true;
    }
    const int32_t* corners = nullptr;
    Triangle<double> triangle{};

private:
    const SeenMesh<T>& mesh_;
    int32_t id_ = -1;
};

// Calls empty(p) or covered(p, face, ray) for each pixel p, flat index.
template <class T, class Covered, class Empty>
void each_pixel(const SeenMesh<T>& mesh, FaceImage image, const Covered& covered, const Empty& empty) {
    parallel_for(image.height, 8, [&](int64_t begin, int64_t end, int) {
        CurrentFace<T> face(mesh);
        for (int64_t row = begin; row < end; ++row)
            for (int column = 0; column < image.width; ++column) {
                const int64_t p = row * image.width + column;
                if (image.id[p] < 0) {
                    empty(p);
                    continue;
                }
                face.turn_to(image.id[p]);
                covered(p, face, pixel_ray(mesh.lens, double(column), double(row)));
            }
    });
}

// Calls pixel(p, face, ray, sum) for each covered pixel, and flush(band, face, sum) once for each run of pixels in a band
// that show one face.
template <class Sum, class T, class Pixel, class Flush>
void each_run(const SeenMesh<T>& mesh, FaceImage image, const Pixel& pixel, const Flush& flush) {
    parallel_for(num_bands(image.height), 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t band = begin; band < end; ++band) {
            CurrentFace<T> face(mesh);
            Sum sum{};
            int32_t id = -1;
            const int64_t first = band * kBandRows * image.width;
            const int64_t last = std::min((band + 1) * kBandRows, int64_t(image.height)) * image.width;
            for (int64_t p = first; p < last; ++p) {
                if (image.id[p] < 0) continue;
                if (image.id[p] != id && id >= 0) {
                    flush(band, face, sum);
                    sum = Sum{};
                }
                id = image.id[p];
                face.turn_to(id);
                pixel(p, face, pixel_ray(mesh.lens, double(p % image.width), double(p / image.width)), sum);
            }
            if (id >= 0) flush(band, face, sum);
        }
    });
}

}  // namespace

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
    VertexSums<T> sums(num_bands(image.height), 3);
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
    VertexSums<T> sums(num_bands(image.height), 3);
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
    VertexSums<T> attribute_sums(bands, channels), vertex_sums(bands, 3);
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
    template void interpolate(const SeenMesh<T>&, FaceImage, const T*, int, T*);                         \
    template void interpolate_backward(const SeenMesh<T>&, FaceImage, const T*, int, const T*, T*, T*);
MILO_INSTANTIATE(float)
MILO_INSTANTIATE(double)
#undef MILO_INSTANTIATE

}  // namespace milo
