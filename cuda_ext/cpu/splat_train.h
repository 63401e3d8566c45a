// SPDX-License-Identifier: Apache-2.0
// The training raster: colour of Gaussians with a fixed low-pass, who owns which pixel, and importance statistics.
// spec: rasterization.md 1.8, 5
#pragma once
#include "splat_project.h"

namespace milo {

// Forward pass, and what the backward pass needs of it.
template <class T>
class TrainFrame {
public:
    // image [3,H,W]; area_max [N]: pixels in which the Gaussian has the largest weight
    TrainFrame(const Camera<T>& camera, T near_plane, Vec3<T> background, const Gaussians<T>& gaussians, T* image,
               int32_t* radii, int32_t* area_max);

    // gaussians and image as in the forward pass.  out.screen may be null.
    void backward(const Gaussians<T>& gaussians, const T* image, const T* g_image, const GaussianGrads<T>& out) const;

private:
    void blend_tile(int tile, T* image, int32_t* owned);
    void blend_tile_backward(int tile, const T* image, const T* g_image, T* sums) const;

    SplatScene<T> scene_;
    Vec3<T> background_;
    Buffer<int32_t> walked_;   // [tiles] Gaussians until all pixels had ended
};

// No gradients.  accum_weights, area_proj, area_max: [N] sum of weights, pixels drawn on, pixels owned.
template <class T>
void train_stats(const SplatScene<T>& scene, int64_t count, T* accum_weights, int32_t* area_proj, int32_t* area_max);

// No gradients.  Of the Gaussian with the largest weight in each pixel: its index (-1 none) [H,W], the world point
// where it is densest along the ray [3,H,W] and that point's z depth [H,W] (0 where none); and the transmittance [H,W].
template <class T>
void train_depth(const SplatScene<T>& scene, const Gaussians<T>& gaussians, int32_t* index, T* points, T* depth,
                 T* transmittance);

}  // namespace milo
