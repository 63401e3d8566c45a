// SPDX-License-Identifier: Apache-2.0
#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "bindings.h"

namespace milo {
namespace {

using Body = std::function<void(int64_t, int64_t, int)>;

class Pool {
public:
    explicit Pool(int threads) {
        for (int t = 1; t < threads; ++t) workers_.emplace_back([this, t] { work(t); });
    }
    ~Pool() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        for (auto& worker : workers_) worker.join();
    }
    int size() const { return static_cast<int>(workers_.size()) + 1; }

    void run(int64_t count, int64_t grain, const Body& body) {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            body_ = &body, count_ = count, grain_ = grain, next_ = 0, error_ = nullptr;
            busy_ = static_cast<int>(workers_.size());
            ++round_;
        }
        wake_.notify_all();
        chunks(0);
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, [this] { return busy_ == 0; });
        body_ = nullptr;
        if (error_) std::rethrow_exception(error_);
    }

private:
    void chunks(int thread) {
        try {
            for (int64_t begin; (begin = next_.fetch_add(grain_)) < count_;)
                (*body_)(begin, std::min(begin + grain_, count_), thread);
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!error_) error_ = std::current_exception();
            next_ = count_;
        }
    }
    void work(int thread) {
        uint64_t seen = 0;
        for (;;) {
            {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return stopping_ || round_ != seen; });
                if (stopping_) return;
                seen = round_;
            }
            chunks(thread);
            std::lock_guard<std::mutex> lock(mutex_);
            if (--busy_ == 0) done_.notify_one();
        }
    }

    std::vector<std::thread> workers_;
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    const Body* body_ = nullptr;
    int64_t count_ = 0, grain_ = 1;
    std::atomic<int64_t> next_{0};
    std::exception_ptr error_;
    uint64_t round_ = 0;
    int busy_ = 0;
    bool stopping_ = false;
};

std::mutex pool_mutex;   // one parallel_for at a time; held while it runs
Pool* pool = nullptr;    // leaked on purpose: joining threads while a process exits can hang
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

void parallel_for(int64_t count, int64_t grain, const Body& body) {
    if (count <= 0) return;
    grain = std::max<int64_t>(1, grain);
    if (inside || count <= grain || num_threads() == 1) {
        for (int64_t begin = 0; begin < count; begin += grain) body(begin, std::min(begin + grain, count), 0);
        return;
    }
    std::lock_guard<std::mutex> lock(pool_mutex);
    if (!pool) pool = new Pool(num_threads());
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
