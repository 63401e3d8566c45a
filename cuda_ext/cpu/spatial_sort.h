// SPDX-License-Identifier: Apache-2.0
// The order in which points are inserted into a triangulation.
#pragma once
#include <cstdint>
#include <vector>

#include "predicates.h"
#include "thread_pool.h"

namespace milo {

// Biased randomised insertion order (Amenta, Choi and Rote, 2003): rounds of growing random samples, which bounds the
// expected work for any input; within a round along a Hilbert curve, so that each point is next to the one before.
// Deterministic, whatever the number of threads: chance comes from a hash of the index.
std::vector<int32_t> insertion_order(const std::vector<Point3>& points, ThreadPool& pool);

}  // namespace milo
