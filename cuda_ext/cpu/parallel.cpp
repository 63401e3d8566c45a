// SPDX-License-Identifier: Apache-2.0
#include "parallel.h"

#include <algorithm>
#include <mutex>
#include <thread>

#include "bindings.h"
#include "thread_pool.h"

namespace milo {
namespace {

std::mutex pool_mutex;        // one parallel_for at a time; held while it runs
ThreadPool* pool = nullptr;   // leaked on purpose: joining threads while a process exits can hang
int wanted = 0;
thread_local bool inside = false;

int cores() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

}  // namespace

int num_threads() { return wanted > 0 ? wanted : cores(); }

void set_num_threads(int count) {
    std::lock_guard<std::mutex> lock(pool_mutex);
    wanted = std::max(0, count);
    if (pool && pool->size() != num_threads()) {
        delete pool;
        pool = nullptr;
    }
}

void parallel_for(int64_t count, int64_t grain, const ThreadPool::Body& body) {
    if (count <= 0) return;
    grain = std::max<int64_t>(1, grain);
    if (inside || count <= grain || num_threads() == 1) {
        for (int64_t begin = 0; begin < count; begin += grain) body(begin, std::min(begin + grain, count), 0);
        return;
    }
    std::lock_guard<std::mutex> lock(pool_mutex);
    if (!pool) pool = new ThreadPool(num_threads());
    inside = true;   // the calling thread; workers never call parallel_for with the lock free
    try {
        pool->run(count, grain, [&](int64_t begin, int64_t end, int thread) {
            const bool before = inside;
            inside = true;
            body(begin, end, thread);
            inside = before;
        });
    } catch (...) {
        inside = false;
        throw;
    }
    inside = false;
}

}  // namespace milo

void bind_parallel(nb::module_& m) {
    m.def("num_threads", &milo::num_threads);
    m.def("set_num_threads", &milo::set_num_threads, nb::arg("count"));
}
