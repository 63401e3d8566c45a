// SPDX-License-Identifier: Apache-2.0
// Opacity that a camera's rays gather up to given points.  spec: rasterization.md 4
#pragma once
#include "point_opacity.h"

namespace milo {

// Probe: RadeProbe or GofSplat.  points: [count, 3].  opacity: [count], 1 for points that are not seen.
template <class Probe, class T>
void integrate_points(const Camera<T>& camera, T near_plane, const Gaussians<T>& gaussians, const T* points,
                      int64_t count, T* opacity);

}  // namespace milo
