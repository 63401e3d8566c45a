// SPDX-License-Identifier: Apache-2.0
// Rows of [N, 3] arrays.
#pragma once
#include <cstdint>

#include "vec.h"

namespace milo {

template <class T>
Vec3<T> load3(const T* rows, int64_t i) { return {rows[3 * i], rows[3 * i + 1], rows[3 * i + 2]}; }

template <class T>
void store3(T* rows, int64_t i, Vec3<T> v) { rows[3 * i] = v.x, rows[3 * i + 1] = v.y, rows[3 * i + 2] = v.z; }

}  // namespace milo
