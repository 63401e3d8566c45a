// SPDX-License-Identifier: Apache-2.0
// From Gaussians in the world to splats on the tiles of an image, and the way back for gradients.
#pragma once
#include "binning.h"
#include "buffer.h"
#include "point_opacity.h"
#include "splat_backward.h"

namespace milo {

// Gaussians placed on the tiles of an image, as records S.  Entries of `placed` and `splats` are defined where touched
// is not 0.
template <class T, class S = Splat<T>>
struct SplatScene {
    SplatScene(const Camera<T>& view, int64_t n) : camera(view), placed(n), splats(n) {}

    Camera<T> camera;
    Placements<T> placed;
    Buffer<S> splats;
    Binning bins;
};

// radii: [N] pixels, 0 for Gaussians that are not seen.  Colours are left undefined where gaussians.sh_dc is null.
template <class T>
SplatScene<T> place_for_geometry(const Camera<T>& camera, T kernel_size, T near_plane, const Gaussians<T>& gaussians,
                                 int32_t* radii);
template <class T>
SplatScene<T> place_for_training(const Camera<T>& camera, T near_plane, const Gaussians<T>& gaussians, int32_t* radii);
template <class T>
SplatScene<T, GofSplat<T>> place_for_gof(const Camera<T>& camera, T kernel_size, T near_plane,
                                         const Gaussians<T>& gaussians, int32_t* radii);

// For the opacity of points: any point of a pixel counts.
template <class Probe, class T>
SplatScene<T, Probe> place_for_points(const Camera<T>& camera, T near_plane, const Gaussians<T>& gaussians);

// sums: [instances][kSums] in tile order.  Writes every element of `out`, zeros for Gaussians that drew nothing.
template <Raster raster, class T>
void gather_gradients(const Camera<T>& camera, const Gaussians<T>& g, T kappa, const Binning& bins, const T* sums,
                      const GaussianGrads<T>& out);

}  // namespace milo
