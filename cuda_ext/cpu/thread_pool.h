// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace milo {

// Threads that wait for work, the calling one included.  parallel.h has the one that kernels share; a long computation
// beside them brings its own.
class ThreadPool {
public:
    using Body = std::function<void(int64_t, int64_t, int)>;

    explicit ThreadPool(int threads) {
        for (int t = 1; t < threads; ++t) workers_.emplace_back([this, t] { work(t); });
    }
    ~ThreadPool() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        for (auto& worker : workers_) worker.join();
    }
    int size() const { return static_cast<int>(workers_.size()) + 1; }

    // Call body(begin, end, thread) over [0, count) in chunks of at most `grain`, handed out dynamically; thread is in
    // [0, size()).  Exceptions thrown by the body are rethrown here.  One call at a time, and none from the body.
    void run(int64_t count, int64_t grain, const Body& body) {
        if (workers_.empty() || count <= grain) {
            for (int64_t begin = 0; begin < count; begin += grain) body(begin, std::min(begin + grain, count), 0);
            return;
        }
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

}  // namespace milo
