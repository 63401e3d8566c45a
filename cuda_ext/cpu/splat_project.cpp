// SPDX-License-Identifier: Apache-2.0
#include "splat_project.h"

#include "parallel.h"

namespace milo {
namespace {

// make_splat(i, placement) of Gaussian i, make_outline(placement, splat).
template <bool geometry, class S, class T, class MakeSplat, class MakeOutline>
SplatScene<T, S> place(const Camera<T>& camera, T low_pass, T near_plane, const Gaussians<T>& g, int32_t* radii,
                       MakeSplat make_splat, MakeOutline make_outline) {
    SplatScene<T, S> scene(camera, g.count);
    Placements<T>& placed = scene.placed;
    parallel_for(g.count, 256, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            placed.touched[i] = 0;
            const Placement<T> at = place_gaussian<geometry>(camera, g, i, low_pass, near_plane);
            radii[i] = at.radius;
            if (!at.drawn) continue;
            scene.splats[i] = make_splat(i, at);
            placed.depth[i] = at.projection.p.z;
            placed.rect[i] = at.rect;
            placed.outline[i] = make_outline(at, scene.splats[i]);
            placed.touched[i] = tiles_of(at.rect, placed.outline[i], camera.tiles_x(), nullptr);
        }
    });
    scene.bins = bin(placed, g.count, camera.tiles_x(), camera.tiles_y());
    return scene;
}

template <bool geometry, class T>
SplatScene<T> place_footprints(const Camera<T>& camera, T low_pass, T near_plane, const Gaussians<T>& g,
                               int32_t* radii) {
    const Vec3<T> camera_centre = camera.centre();
    return place<geometry, Splat<T>>(
        camera, low_pass, near_plane, g, radii,
        [&](int64_t i, const Placement<T>& at) { return make_splat<geometry>(camera, camera_centre, g, i, at); },
        [](const Placement<T>& at, const Splat<T>&) {
            return make_outline(at.mean, at.projection.footprint, at.opacity);
        });
}

}  // namespace

template <class T>
SplatScene<T> place_for_geometry(const Camera<T>& camera, T kernel_size, T near_plane, const Gaussians<T>& gaussians,
                                 int32_t* radii) {
    return place_footprints<true>(camera, kernel_size, near_plane, gaussians, radii);
}

template <class T>
SplatScene<T> place_for_training(const Camera<T>& camera, T near_plane, const Gaussians<T>& gaussians, int32_t* radii) {
    return place_footprints<false>(camera, T(kTrainLowPass), near_plane, gaussians, radii);
}

template <class T>
SplatScene<T, GofSplat<T>> place_for_gof(const Camera<T>& camera, T kernel_size, T near_plane, const Gaussians<T>& g,
                                         int32_t* radii) {
    const Vec3<T> camera_centre = camera.centre();
    return place<true, GofSplat<T>>(
        camera, kernel_size, near_plane, g, radii,
        [&](int64_t i, const Placement<T>& at) { return make_gof_splat(camera, camera_centre, g, i, at); },
        [](const Placement<T>& at, const GofSplat<T>& splat) {
            return make_gof_outline(splat, at.opacity, T(kPixelSlack));
        });
}

template <class Probe, class T>
SplatScene<T, Probe> place_for_points(const Camera<T>& camera, T near_plane, const Gaussians<T>& g) {
    Buffer<int32_t> radii(g.count);
    return place<true, Probe>(
        camera, T(0), near_plane, g, radii.data(),
        [&](int64_t i, const Placement<T>& at) { return make_probe(camera, g, i, at, static_cast<Probe*>(nullptr)); },
        [](const Placement<T>& at, const Probe& probe) { return probe_outline(probe, at); });
}

#define MILO_PLACE(T)                                                                                           \
    template SplatScene<T> place_for_geometry(const Camera<T>&, T, T, const Gaussians<T>&, int32_t*);           \
    template SplatScene<T> place_for_training(const Camera<T>&, T, const Gaussians<T>&, int32_t*);              \
    template SplatScene<T, GofSplat<T>> place_for_gof(const Camera<T>&, T, T, const Gaussians<T>&, int32_t*);   \
    template SplatScene<T, RadeProbe<T>> place_for_points(const Camera<T>&, T, const Gaussians<T>&);            \
    template SplatScene<T, GofSplat<T>> place_for_points(const Camera<T>&, T, const Gaussians<T>&);
MILO_PLACE(float)
MILO_PLACE(double)

}  // namespace milo
