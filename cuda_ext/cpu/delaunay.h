// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "predicates.h"

namespace milo {

// Delaunay triangulation of finite points: positively oriented tetrahedra, four indices each, none flat.  Of equal
// points the one with the lowest index is used.  Empty when the points span no volume.  See delaunay.cpp.
std::vector<int32_t> delaunay(std::vector<Point3> points);

}  // namespace milo
