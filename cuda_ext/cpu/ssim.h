// SPDX-License-Identifier: Apache-2.0
// Structural similarity and L1 of two images, with the gradient in the first.  spec: rasterization.md 6.2
#pragma once
#include <cstdint>

namespace milo {

struct ImageDistance {
    double l1, ssim;   // means over all elements
};

// image, target: [channels, height, width].  When grad is not null it receives, for every element of the image,
// the derivative of  l1_weight * l1 + ssim_weight * ssim.
template <class T>
ImageDistance image_distance(const T* image, const T* target, int64_t channels, int64_t height, int64_t width,
                             double l1_weight, double ssim_weight, T* grad);

}  // namespace milo
