// SPDX-License-Identifier: Apache-2.0
// How far the mesh's depth and normals are from those of the Gaussians at a pixel.  spec: training.md 4.4
#pragma once
#include "depth_normal.h"

namespace milo {

// The Gaussians' depth maps; the expected one may be left out.
template <class T>
struct SplatDepths {
    const T *median, *expected;   // [H, W]
    T median_share;               // the expected depth has the rest
    Pinhole<T> camera;
    int height, width;

    MILO_HD bool inside(int i, int j) const { return i > 0 && j > 0 && i + 1 < width && j + 1 < height; }
    MILO_HD long long at(int i, int j) const { return static_cast<long long>(j) * width + i; }
    MILO_HD T depth(int i, int j) const {
        const T d = median_share * median[at(i, j)];
        return expected ? d + (1 - median_share) * expected[at(i, j)] : d;
    }
    MILO_HD Vec3<T> vertical(const T* map, int i, int j) const {
        return back_project(camera, i, j + 1, map[at(i, j + 1)]) - back_project(camera, i, j - 1, map[at(i, j - 1)]);
    }
    MILO_HD Vec3<T> horizontal(const T* map, int i, int j) const {
        return back_project(camera, i + 1, j, map[at(i + 1, j)]) - back_project(camera, i - 1, j, map[at(i - 1, j)]);
    }
    // Not of unit length where the two depths' normals differ; zero in the outermost ring of pixels.
    MILO_HD Vec3<T> normal(int i, int j) const {
        if (!inside(i, j)) return {0, 0, 0};
        const Vec3<T> n = median_share * neighbour_normal(vertical(median, i, j), horizontal(median, i, j));
        if (!expected) return n;
        return n + (1 - median_share) * neighbour_normal(vertical(expected, i, j), horizontal(expected, i, j));
    }
};

template <class T>
struct MeshMaps {
    const T *depth, *normal;   // [H, W], [3, H, W]; depth 0 where the mesh is not
    long long pixels;

    MILO_HD bool covers(long long p) const { return depth[p] > 0; }
    MILO_HD Vec3<T> normal_at(long long p) const { return {normal[p], normal[p + pixels], normal[p + 2 * pixels]}; }
};

template <class T>
struct ViewLoss {
    T depth, normal;
};

template <class T>
MILO_HD ViewLoss<T> view_loss(const MeshMaps<T>& mesh, const SplatDepths<T>& splats, T extent, int i, int j) {
    const long long p = splats.at(i, j);
    if (!mesh.covers(p)) return {0, 0};
    const T difference = mesh.depth[p] - splats.depth(i, j);
    const T cosine = dot(mesh.normal_at(p), splats.normal(i, j));
    return {T(log1p((difference < 0 ? -difference : difference) / extent)), T(1) - (cosine < 0 ? -cosine : cosine)};
}

// d/d(mesh depth) of the depth loss; the Gaussians' depth gets the opposite.
template <class T>
MILO_HD T depth_loss_slope(const MeshMaps<T>& mesh, const SplatDepths<T>& splats, T extent, int i, int j) {
    const long long p = splats.at(i, j);
    if (!mesh.covers(p)) return 0;
    const T difference = mesh.depth[p] - splats.depth(i, j);
    return difference > 0 ? 1 / (extent + difference) : difference < 0 ? -1 / (extent - difference) : T(0);
}

// d/d(cosine) of the normal loss: 0 or +-1.
template <class T>
MILO_HD T normal_loss_slope(const MeshMaps<T>& mesh, long long p, Vec3<T> splat_normal) {
    if (!mesh.covers(p)) return 0;
    const T cosine = dot(mesh.normal_at(p), splat_normal);
    return cosine > 0 ? T(-1) : cosine < 0 ? T(1) : T(0);
}

// What pixel (i, j)'s normal loss gives to the differences of a depth map around it.
template <class T>
struct DifferenceGradient {
    Vec3<T> vertical, horizontal;
};

template <class T>
MILO_HD DifferenceGradient<T> difference_gradient(const MeshMaps<T>& mesh, const SplatDepths<T>& splats, const T* map,
                                                  int i, int j) {
    DifferenceGradient<T> g{{0, 0, 0}, {0, 0, 0}};
    if (!splats.inside(i, j)) return g;
    const long long p = splats.at(i, j);
    const T slope = normal_loss_slope(mesh, p, splats.normal(i, j));
    if (slope != 0)
        neighbour_normal_backward(splats.vertical(map, i, j), splats.horizontal(map, i, j), slope * mesh.normal_at(p),
                                  g.vertical, g.horizontal);
    return g;
}

// The normal loss's derivative by the depth of a map at a pixel, which takes part in the normals of its four neighbours.
// Without the share of the map.
template <class T>
MILO_HD T normal_loss_by_depth(const MeshMaps<T>& mesh, const SplatDepths<T>& splats, const T* map, int i, int j) {
    const Vec3<T> sum = difference_gradient(mesh, splats, map, i, j - 1).vertical -
                        difference_gradient(mesh, splats, map, i, j + 1).vertical +
                        difference_gradient(mesh, splats, map, i - 1, j).horizontal -
                        difference_gradient(mesh, splats, map, i + 1, j).horizontal;
    return dot(sum, back_project(splats.camera, i, j, T(1)));
}

}  // namespace milo
