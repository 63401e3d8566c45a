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
            radii[i] = 0;
            placed.touched[i] = 0;
            if (g.cull && g.cull[i]) continue;
            const Vec3<T> p = camera.to_view(vec3_at(g.means, i));
            if (!(p.z > near_plane)) continue;
            const Projection<T> r = project_gaussian(camera, g, i, p, low_pass);
            if (!r.footprint.valid) continue;
            const Vec2<T> mean = project(camera, p);
            const T opacity = geometry ? g.opacities[i] * r.footprint.compensation : g.opacities[i];
            int radius;
            const TileRect rect = geometry ? square_rect(camera, mean, r.footprint, radius)
                                           : aware_rect(camera, mean, r.footprint, opacity, radius);
            if (rect.empty()) continue;
            radii[i] = radius;
            if (!(opacity >= T(kAlphaMin))) continue;   // counts as seen all the same (quirk Q10)

            placed.depth[i] = p.z;
            placed.rect[i] = rect;
            placed.outline[i] = make_outline(mean, r.footprint, opacity);
            placed.touched[i] = tiles_of(rect, placed.outline[i], camera.tiles_x(), nullptr);
            if (placed.touched[i] == 0) continue;
            Splat<T>& splat = scene.splats[i];
            splat.mean = mean;
            splat.falloff = make_falloff(r.footprint.conic_a, r.footprint.b, r.footprint.c, opacity);
            if (g.sh_dc) splat.colour = clamped_colour(seen_colour(g, i, camera_centre).unclamped);
            if constexpr (geometry) {
                const RayPlane<T> plane = ray_plane(r.axes, r.s, r.clamped.t);
                splat.distance = length(p);
                splat.slope = {plane.slope.x / camera.fx, plane.slope.y / camera.fy};
                splat.normal = plane.normal;
            }
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
