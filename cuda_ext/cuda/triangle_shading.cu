// SPDX-License-Identifier: Apache-2.0
// Depth, normals and attributes of the faces that pixels see, and the way back.  A thread per pixel; on the way back the
// pixels of a warp that show one face add up before they go to memory.  Spec: rasterization.md, 7.2.
#include "mesh.cuh"

using namespace milo;

namespace {

// The face of this thread's pixel.
struct Pixel {
    long long p;
    int face, corners[3];
    bool real, covered;
    Triangle<double> triangle;
    Vec2<double> ray;

    __device__ Pixel(const SeenMesh& mesh, const int* face_id, int height, int width) : p(thread_index()) {
        real = p < static_cast<long long>(height) * width;
        face = real ? face_id[p] : -1;
        covered = mesh.corners(face, corners);
        if (!covered) return;
        triangle = mesh.triangle(corners);
        ray = pixel_ray(mesh.lens, static_cast<double>(p % width), static_cast<double>(p / width));
    }
    // Equal for pixels of one face, negative where there is none.
    __device__ int key() const { return covered ? face : -1; }
};

}  // namespace

#define MESH_AND_IMAGE MESH_AND_CAMERA, const int *face_id, int height, int width
#define THIS_PIXEL                                                         \
    const SeenMesh mesh(verts, faces, num_verts, num_faces, viewmat, K);   \
    const Pixel pixel(mesh, face_id, height, width);                       \
    const long long p = pixel.p, pixels = static_cast<long long>(height) * width;

KERNEL face_depth(MESH_AND_IMAGE, Scalar* depth) {
    THIS_PIXEL
    if (p >= pixels) return;
    depth[p] = pixel.covered ? static_cast<Scalar>(hit(pixel.triangle, pixel.ray).depth(pixel.triangle)) : Scalar(0);
}

KERNEL face_depth_backward(MESH_AND_IMAGE, const Scalar* g_depth, Scalar* g_verts) {
    THIS_PIXEL
    double factors[3] = {};
    if (pixel.covered) {
        const Hit<double> h = hit(pixel.triangle, pixel.ray);
        for (int k = 0; k < 3; ++k) factors[k] = g_depth[p] * depth_factor(h, k);
    }
    if (!sum_by_key(pixel.key(), factors) || !pixel.covered) return;
    const Vec3<double> n = mesh.pose.rotate_back(pixel.triangle.normal());
    for (int k = 0; k < 3; ++k) add_gradient(g_verts, pixel.corners[k], factors[k] * n);
}

KERNEL face_normals(MESH_AND_IMAGE, Scalar* normal) {
    THIS_PIXEL
    if (p >= pixels) return;
    const Vec3<double> n = pixel.covered ? unit_normal(pixel.triangle) : Vec3<double>{0, 0, 0};
    normal[p] = static_cast<Scalar>(n.x);
    normal[p + pixels] = static_cast<Scalar>(n.y);
    normal[p + 2 * pixels] = static_cast<Scalar>(n.z);
}

KERNEL face_normals_backward(MESH_AND_IMAGE, const Scalar* g_normal, Scalar* g_verts) {
    THIS_PIXEL
    double g[3] = {};
    if (pixel.covered)
        for (int k = 0; k < 3; ++k) g[k] = g_normal[p + k * pixels];
    if (!sum_by_key(pixel.key(), g) || !pixel.covered) return;
    Vec3<double> grad[3] = {};
    unit_normal_backward(pixel.triangle, Vec3<double>{g[0], g[1], g[2]}, grad);
    for (int k = 0; k < 3; ++k) add_gradient(g_verts, pixel.corners[k], mesh.pose.rotate_back(grad[k]));
}

// Both maps at once; the depth twice, unless second is null; then also for silhouettes: exact [H, W] the depth unrounded,
// infinite where nothing is; seen [H, W] the corners of the face, -1 where there is none.
KERNEL face_maps(MESH_AND_IMAGE, Scalar* depth, Scalar* second, double* exact, int4* seen, Scalar* normal) {
    THIS_PIXEL
    if (p >= pixels) return;
    Vec3<double> n{0, 0, 0};
    double z = 0;
    if (pixel.covered) {
        n = unit_normal(pixel.triangle);
        z = hit(pixel.triangle, pixel.ray).depth(pixel.triangle);
    }
    depth[p] = static_cast<Scalar>(z);
    if (second) {
        second[p] = static_cast<Scalar>(z);
        exact[p] = pixel.covered ? z : __longlong_as_double(0x7ff0000000000000ll);
        seen[p] = pixel.covered ? make_int4(pixel.corners[0], pixel.corners[1], pixel.corners[2], 0)
                                : make_int4(-1, -1, -1, 0);
    }
    normal[p] = static_cast<Scalar>(n.x);
    normal[p + pixels] = static_cast<Scalar>(n.y);
    normal[p + 2 * pixels] = static_cast<Scalar>(n.z);
}

KERNEL face_maps_backward(MESH_AND_IMAGE, const Scalar* g_depth, const Scalar* g_normal, Scalar* g_verts) {
    THIS_PIXEL
    double g[6] = {};   // factors of the three corners' depths, gradient of the normal
    if (pixel.covered) {
        const Hit<double> h = hit(pixel.triangle, pixel.ray);
        for (int k = 0; k < 3; ++k) g[k] = g_depth[p] * depth_factor(h, k), g[3 + k] = g_normal[p + k * pixels];
    }
    if (!sum_by_key(pixel.key(), g) || !pixel.covered) return;
    Vec3<double> grad[3] = {};
    unit_normal_backward(pixel.triangle, Vec3<double>{g[3], g[4], g[5]}, grad);
    const Vec3<double> n = pixel.triangle.normal();
    for (int k = 0; k < 3; ++k) add_gradient(g_verts, pixel.corners[k], mesh.pose.rotate_back(grad[k] + g[k] * n));
}

// attributes [V, C] -> out [C, H, W]
KERNEL interpolate(MESH_AND_IMAGE, const Scalar* attributes, int channels, Scalar* out) {
    THIS_PIXEL
    if (p >= pixels) return;
    Hit<double> h{};
    if (pixel.covered) h = hit(pixel.triangle, pixel.ray);
    for (int c = 0; c < channels; ++c) {
        double sum = 0;
        if (pixel.covered)
            for (int k = 0; k < 3; ++k)
                sum += h.weight[k] * attributes[static_cast<long long>(pixel.corners[k]) * channels + c];
        out[p + c * pixels] = static_cast<Scalar>(sum);
    }
}

// g_out [C, H, W]; g_attributes [V, C] and g_verts [V, 3] are added to; either may be null.
KERNEL interpolate_backward(MESH_AND_IMAGE, const Scalar* attributes, int channels, const Scalar* g_out,
                            Scalar* g_attributes, Scalar* g_verts) {
    THIS_PIXEL
    Hit<double> h{};
    if (pixel.covered) h = hit(pixel.triangle, pixel.ray);
    double g_weight[3] = {};
    for (int c = 0; c < channels; ++c) {
        const double g = pixel.covered ? static_cast<double>(g_out[p + c * pixels]) : 0.0;
        double share[3];
        for (int k = 0; k < 3; ++k) {
            share[k] = h.weight[k] * g;
            if (pixel.covered)
                g_weight[k] += g * attributes[static_cast<long long>(pixel.corners[k]) * channels + c];
        }
        if (g_attributes && sum_by_key(pixel.key(), share) && pixel.covered)
            for (int k = 0; k < 3; ++k)
                atomicAdd(g_attributes + static_cast<long long>(pixel.corners[k]) * channels + c, static_cast<Scalar>(share[k]));
    }
    if (!g_verts) return;
    Vec3<double> grad[3] = {};
    if (pixel.covered) weights_backward(pixel.triangle, pixel.ray, h, g_weight, grad);
    double rows[9];
    for (int k = 0; k < 3; ++k) rows[3 * k] = grad[k].x, rows[3 * k + 1] = grad[k].y, rows[3 * k + 2] = grad[k].z;
    if (!sum_by_key(pixel.key(), rows) || !pixel.covered) return;
    for (int k = 0; k < 3; ++k)
        add_gradient(g_verts, pixel.corners[k],
                     mesh.pose.rotate_back(Vec3<double>{rows[3 * k], rows[3 * k + 1], rows[3 * k + 2]}));
}
