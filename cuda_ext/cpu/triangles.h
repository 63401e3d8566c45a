// SPDX-License-Identifier: Apache-2.0
// The CPU driver of the triangle rasteriser: what its files share.  Formulas: math/triangle.h, math/silhouette.h.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "triangle.h"

namespace milo {

// A triangle mesh (world units) and the camera that looks at it.
template <class T>
struct SeenMesh {
    const T* verts;         // [V, 3]
    const int32_t* faces;   // [F, 3]
    int64_t num_verts, num_faces;
    RigidMotion<double> pose;   // world to camera
    Pinhole<double> lens;       // not used where only normals are wanted

    Vec3<double> world(int32_t v) const {
        const T* p = verts + 3 * int64_t(v);
        return {double(p[0]), double(p[1]), double(p[2])};
    }
    const int32_t* corners(int32_t face) const {
        if (face < 0 || face >= num_faces)
            throw std::invalid_argument("face_id names a face that faces does not have.");
        const int32_t* f = faces + 3 * int64_t(face);
        for (int k = 0; k < 3; ++k) check_vertex(f[k]);
        return f;
    }
    void check_vertex(int32_t v) const {
        if (v < 0 || v >= num_verts) throw std::invalid_argument("faces names a vertex that verts does not have.");
    }
    // In the camera frame.  Always double: sub-pixel triangles far from the origin leave float no digits.
    Triangle<double> triangle(const int32_t* f) const {
        return {{pose(world(f[0])), pose(world(f[1])), pose(world(f[2]))}};
    }
};

// The face id of each pixel, -1 where there is none.
struct FaceImage {
    const int32_t* id;
    int height, width;
};

constexpr int kBandRows = 16;   // unit of work: fixed, so that sums do not depend on the number of threads
inline int64_t num_bands(int height) { return (height + kBandRows - 1) / kBandRows; }

// One antialiased pixel pair: pixel A, nearer, whose triangle's edge (a, b) crosses the way to its neighbour at s.
struct SilhouettePairs {
    std::vector<int32_t> pixel;      // of A
    std::vector<int32_t> direction;  // to B: 0 right, 1 left, 2 down, 3 up
    std::vector<int32_t> edge;       // 2 vertices each
    std::vector<double> s;           // in [0, 1]
};

template <class T>
void visibility(const SeenMesh<T>& mesh, int height, int width, double near, double far, int32_t* face_id);

template <class T>
void face_depth(const SeenMesh<T>& mesh, FaceImage image, T* depth);
template <class T>
void face_depth_backward(const SeenMesh<T>& mesh, FaceImage image, const T* g_depth, T* g_verts);

template <class T>
void face_normals(const SeenMesh<T>& mesh, FaceImage image, T* normal);
template <class T>
void face_normals_backward(const SeenMesh<T>& mesh, FaceImage image, const T* g_normal, T* g_verts);

// Both at once.
template <class T>
void face_maps(const SeenMesh<T>& mesh, FaceImage image, T* depth, T* normal);
template <class T>
void face_maps_backward(const SeenMesh<T>& mesh, FaceImage image, const T* g_depth, const T* g_normal, T* g_verts);

template <class T>
void interpolate(const SeenMesh<T>& mesh, FaceImage image, const T* attributes, int channels, T* out);
template <class T>
void interpolate_backward(const SeenMesh<T>& mesh, FaceImage image, const T* attributes, int channels, const T* g_out,
                          T* g_attributes, T* g_verts);

template <class T>
SilhouettePairs silhouette_pairs(const SeenMesh<T>& mesh, FaceImage image);
template <class T>
void antialias(const SilhouettePairs& pairs, int height, int width, int channels, const T* in, T* out);
template <class T>
void antialias_backward(const SeenMesh<T>& mesh, const SilhouettePairs& pairs, int height, int width, int channels,
                        const T* in, const T* g_out, T* g_in, T* g_verts);   // either gradient may be null

}  // namespace milo
