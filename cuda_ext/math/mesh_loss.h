// SPDX-License-Identifier: Apache-2.0
// How far the mesh's depth and normals are from those of the Gaussians at a pixel.  spec: training.md 4.4
#pragma once
#include "depth_normal.h"

namespace milo {

// The Gaussians' depth maps; the expected one may be left out (null).
template <class T>
struct SplatDepths {
    DepthMap<T> median, expected;
    T median_share;   // the expected depth has the rest

    MILO_HD long long at(int i, int j) const { return median.at(i, j); }
    MILO_HD T depth(int i, int j) const {
        const T d = median_share * median.depth[at(i, j)];
        return expected.depth ? d + (1 - median_share) * expected.depth[at(i, j)] : d;
    }
    // Not of unit length where the two depths' normals differ; zero in the outermost ring of pixels.
    MILO_HD Vec3<T> normal(int i, int j) const {
        const Vec3<T> n = median_share * median.normal(i, j);
        return expected.depth ? n + (1 - median_share) * expected.normal(i, j) : n;
    }
};

template <class T>
MILO_HD SplatDepths<T> splat_depths(const T* median, const T* expected, T median_share, Pinhole<T> camera, int height,
                                    int width) {
    return {{median, camera, height, width}, {expected, camera, height, width}, median_share};
}

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

// What pixel (i, j)'s normal loss gives to the differences of a map around it, without the share of the map; zero in the
// outermost ring of pixels and outside.
template <class T>
MILO_HD DifferenceGrads<T> normal_loss_differences(const MeshMaps<T>& mesh, const SplatDepths<T>& splats,
                                                   const DepthMap<T>& map, int i, int j) {
    if (!map.inside(i, j)) return {{0, 0, 0}, {0, 0, 0}};
    const long long p = map.at(i, j);
    const T slope = normal_loss_slope(mesh, p, splats.normal(i, j));
    return difference_gradients(map, i, j, slope * mesh.normal_at(p));
}

}  // namespace milo
