// SPDX-License-Identifier: Apache-2.0
#include "splat_project.h"

#include "parallel.h"

namespace milo {
namespace {

template <bool geometry, class T>
SplatScene<T> place(const Camera<T>& camera, T low_pass, T near_plane, const Gaussians<T>& g, int32_t* radii) {
    SplatScene<T> scene(camera, g.count);
    Placements<T>& placed = scene.placed;
    const Vec3<T> camera_centre = camera.centre();
    parallel_for(g.count, 256, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            placed.touched[i] = 0;
            const Placement<T> at = place_gaussian<geometry>(camera, g, i, low_pass, near_plane);
            radii[i] = at.radius;
            if (!at.drawn) continue;
            placed.depth[i] = at.projection.p.z;
            placed.rect[i] = at.rect;
            placed.outline[i] = make_outline(at.mean, at.projection.footprint, at.opacity);
            placed.touched[i] = tiles_of(at.rect, placed.outline[i], camera.tiles_x(), nullptr);
            if (placed.touched[i]) scene.splats[i] = make_splat<geometry>(camera, camera_centre, g, i, at);
        }
    });
    scene.bins = bin(placed, g.count, camera.tiles_x(), camera.tiles_y());
    return scene;
}

}  // namespace

template <class T>
SplatScene<T> place_for_geometry(const Camera<T>& camera, T kernel_size, T near_plane, const Gaussians<T>& gaussians,
                                 int32_t* radii) {
    return place<true>(camera, kernel_size, near_plane, gaussians, radii);
}

template <class T>
SplatScene<T> place_for_training(const Camera<T>& camera, T near_plane, const Gaussians<T>& gaussians, int32_t* radii) {
    return place<false>(camera, T(kTrainLowPass), near_plane, gaussians, radii);
}

#define MILO_PLACE(T)                                                                                        \
    template SplatScene<T> place_for_geometry(const Camera<T>&, T, T, const Gaussians<T>&, int32_t*);        \
    template SplatScene<T> place_for_training(const Camera<T>&, T, const Gaussians<T>&, int32_t*);
MILO_PLACE(float)
MILO_PLACE(double)

}  // namespace milo
