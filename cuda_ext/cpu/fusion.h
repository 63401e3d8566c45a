// SPDX-License-Identifier: Apache-2.0
// Fusion of depth maps at free points: one pass over the points a view, everything in place.
#pragma once
#include <cstdint>

#include "depth_fusion.h"

namespace milo {

template <class T>
struct FusionPoints {
    const T* points;   // [P, 3]
    int64_t count;
    DepthView<double> view;
    const T* depth;    // [H, W]
};

template <class T>
void fuse_depth(const FusionPoints<T>& in, double truncation, bool nearest, T* value, T* weight);
template <class T>
void fuse_colors(const FusionPoints<T>& in, double truncation, const T* image, T* value, T* weight, T* colors);
template <class T>
void carve_labels(const FusionPoints<T>& in, uint8_t* labels);

}  // namespace milo
