// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "buffer.h"
#include "delaunay_mesh.h"
#include "thread_pool.h"

namespace milo {

// The finite tetrahedra in an order that depends on them alone, with vertices named by `name`: each with its vertices
// from the last inserted to the first (the last two swapped where orientation asks for it), sorted by these.  As points
// are inserted along a space-filling curve, neighbours in space are neighbours in the list.
Buffer<int32_t> ordered_tets(const TetMesh& mesh, const std::vector<int32_t>& name, ThreadPool& pool);

}  // namespace milo
