// SPDX-License-Identifier: Apache-2.0
// A small persistent thread pool.  Own threads rather than OpenMP: no runtime to ship, the same on every platform.
#pragma once
#include <cstdint>
#include <functional>

namespace milo {

// Threads that work on a parallel_for, the calling one included.  Set by Python (0 = all cores).
int num_threads();
void set_num_threads(int count);

// Call body(begin, end, thread) over [0, count) in chunks of at most `grain`, handed out dynamically; thread is in
// [0, num_threads()).  Exceptions thrown by the body are rethrown here.  Not reentrant: a nested call runs serially.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& body);

}  // namespace milo
