// SPDX-License-Identifier: Apache-2.0
// The geometry raster: colour, depth and normal of Gaussians by their ray planes.  spec: rasterization.md 2
#pragma once
#include "geometry_tile.h"

namespace milo {

template <class T>
struct GeometryOptions {
    T kernel_size, near_plane;
    Vec3<T> background;
};

template <class T>
struct GeometryImages {
    T *image, *alpha, *expected_depth, *median_depth, *normal;   // [3,H,W] [H,W] [H,W] [H,W] [3,H,W]
};

// The same arrays for gradients; depth and normal gradients may be null (all three together), meaning zero.
template <class T>
struct GeometryImageGrads {
    const T *image, *alpha, *expected_depth, *median_depth, *normal;
};

// Forward pass, and what the backward pass needs of it.
template <class T>
class GeometryFrame {
public:
    GeometryFrame(const Camera<T>& camera, const GeometryOptions<T>& options, const Gaussians<T>& gaussians,
                  const GeometryImages<T>& images, int32_t* radii);

    // gaussians and images as in the forward pass.  out.screen may be null.
    void backward(const Gaussians<T>& gaussians, const GeometryImages<const T>& images,
                  const GeometryImageGrads<T>& grads, const GaussianGrads<T>& out) const;

private:
    void blend_tile(int tile, const GeometryImages<T>& images);
    template <bool planes, bool absolute>
    void blend_tile_backward(int tile, const GeometryImages<const T>& images, const GeometryImageGrads<T>& grads,
                             T* sums) const;

    SplatScene<T> scene_;
    GeometryOptions<T> options_;
    PixelEnds<T> ends_;
};

extern template class GeometryFrame<float>;
extern template class GeometryFrame<double>;

}  // namespace milo
