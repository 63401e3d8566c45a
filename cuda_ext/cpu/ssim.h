// SPDX-License-Identifier: Apache-2.0
// Structural similarity and L1 of two images, with the gradient in the first.  spec: rasterization.md 6.2
#pragma once
#include <cstdint>

namespace milo {

struct ImageDistance {
    double l1, ssim;   // means over all elements
};

// image, target: [channels, height, width].  When derivatives [3, channels, height, width] is not null it receives what
// the gradient is made of: ssim_weight times the SSIM's derivatives in the windowed mean, variance and covariance.
template <class T>
ImageDistance image_distance(const T* image, const T* target, int64_t channels, int64_t height, int64_t width,
                             double ssim_weight, T* derivatives);

// grad: g times the derivative of  l1_weight * l1 + ssim_weight * ssim  for every element of the image.
template <class T>
void image_distance_backward(const T* image, const T* target, const T* derivatives, int64_t channels, int64_t height,
                             int64_t width, double l1_weight, T g, T* grad);

}  // namespace milo
