// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <vector>

#include "buffer.h"
#include "predicates.h"

namespace milo {

// Delaunay triangulation of finite points: positively oriented tetrahedra, four indices each, none flat.  Of equal
// points the one with the lowest index is used.  Empty when the points span no volume.  See delaunay.cpp.
//
// threads: of its own, 0 = as many as kernels use (parallel.h), fewer for few points; the answer is the same for any.
// stop: may turn non-zero at any time; what comes back then has no meaning.
Buffer<int32_t> delaunay(std::vector<Point3> points, int threads = 0, const std::atomic<uint8_t>* stop = nullptr);

}  // namespace milo
