// SPDX-License-Identifier: Apache-2.0
// The GOF raster: colour, depth and normal of Gaussians by their densest points along the rays.
// spec: rasterization.md 3
#pragma once
#include "splat_geometry.h"

namespace milo {

template <class T>
struct GofImages {
    T *image, *alpha, *depth, *normal;   // [3,H,W] [H,W] [H,W] [3,H,W]
};

// The same arrays for gradients; that of alpha may be null, and those of depth and normal together, meaning zero.
template <class T>
struct GofImageGrads {
    const T *image, *alpha, *depth, *normal;
};

// Forward pass, and what the backward pass needs of it.
template <class T>
class GofFrame {
public:
    GofFrame(const Camera<T>& camera, const GeometryOptions<T>& options, const Gaussians<T>& gaussians,
             const GofImages<T>& images, int32_t* radii);

    // gaussians and images as in the forward pass.  out.screen may be null.
    void backward(const Gaussians<T>& gaussians, const GofImages<const T>& images, const GofImageGrads<T>& grads,
                  const GaussianGrads<T>& out) const;

private:
    void blend_tile(int tile, const GofImages<T>& images);
    template <bool planes, bool absolute>
    void blend_tile_backward(int tile, const GofImages<const T>& images, const GofImageGrads<T>& grads, T* sums) const;

    SplatScene<T, GofSplat<T>> scene_;
    GeometryOptions<T> options_;
    PixelEnds<T> ends_;
};

extern template class GofFrame<float>;
extern template class GofFrame<double>;

}  // namespace milo
