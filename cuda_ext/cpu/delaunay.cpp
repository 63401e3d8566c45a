// SPDX-License-Identifier: Apache-2.0
// 3D Delaunay triangulation, point by point (delaunay_insert.h), on several threads at once.
//
// Cospherical points are told apart by symbolic perturbation: each is lifted by its own infinitesimal, points later in
// lexicographic order by infinitely more (after O. Devillers and M. Teillaud, "Perturbations for Delaunay and weighted
// Delaunay 3D triangulations", 2011).  The triangulation is then unique, whatever the order in which points or threads
// come, and no tetrahedron is flat.  Its tetrahedra are put into an order of their own in the end.
#include "delaunay.h"

#include <algorithm>
#include <deque>

#include "delaunay_insert.h"
#include "delaunay_order.h"
#include "parallel.h"
#include "spatial_sort.h"
#include "thread_pool.h"

namespace milo {
namespace {

constexpr int64_t kGrain = 1 << 13;
constexpr int64_t kPointsPerThread = 1 << 12;   // that are worth a thread
constexpr int64_t kFirst = 256;                 // points that one thread inserts alone
constexpr int64_t kTetsPerPoint = 7;            // about; the mesh grows if there are more

// Scale to at most 1 by a power of two and drop what lies below 2^-200: the predicates' range, exact for all but absurd input.
void normalise(std::vector<Point3>& points, ThreadPool& pool) {
    double largest = 0;
    for (const Point3& p : points) largest = std::max({largest, std::fabs(p.x), std::fabs(p.y), std::fabs(p.z)});
    if (largest == 0) return;
    int exponent;
    std::frexp(largest, &exponent);
    const auto scale = [exponent](double x) {
        const double rounder = std::ldexp(1.5, -148);   // its last bit is 2^-200
        x = std::ldexp(x, -exponent);
        return std::fabs(x) < rounder / 2 ? (x + rounder) - rounder : x;
    };
    pool.run(points.size(), kGrain, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) points[i] = {scale(points[i].x), scale(points[i].y), scale(points[i].z)};
    });
}

// Bring four points that span a volume to the front; false if there are none.
bool lead_with_simplex(const std::vector<Point3>& points, std::vector<int32_t>& order) {
    const auto at = [&](size_t k) -> const Point3& { return points[order[k]]; };
    const auto bring = [&](size_t to, auto&& fits) {
        for (size_t k = to; k < order.size(); ++k)
            if (fits(at(k))) {
                std::rotate(order.begin() + to, order.begin() + k, order.begin() + k + 1);
                return true;
            }
        return false;
    };
    return bring(1, [&](const Point3& p) { return !equal(p, at(0)); }) &&
           bring(2, [&](const Point3& p) { return !collinear_exact(at(0), at(1), p); }) &&
           bring(3, [&](const Point3& p) { return orient3d(at(0), at(1), at(2), p) != 0; });
}

// Points handed out to workers in runs, which shrink towards the end so that all finish together.
class Runs {
public:
    Runs(int64_t begin, int64_t end, int workers) : next_(begin), end_(end), share_(4 * workers) {}

    bool take(int64_t& begin, int64_t& end) {
        begin = next_.load(std::memory_order_relaxed);
        do {
            if (begin >= end_) return false;
            end = std::min(end_, begin + std::clamp<int64_t>((end_ - begin) / share_, 32, 8192));
        } while (!next_.compare_exchange_weak(begin, end, std::memory_order_relaxed));
        return true;
    }

private:
    std::atomic<int64_t> next_;
    const int64_t end_, share_;
};

class Triangulator {
public:
    Triangulator(const std::vector<Point3>& points, ThreadPool& pool, const std::atomic<uint8_t>* stop)
        : points_(points), pool_(pool), stop_(stop), twins_(points.size()),
          mesh_(static_cast<int64_t>(points.size()) * kTetsPerPoint + 1024 * (pool.size() + 1)) {
        for (int k = 0; k < pool.size(); ++k) workers_.emplace_back(points, mesh_, static_cast<uint8_t>(k + 1));
    }

    void run() {
        workers_[0].inserter.start();
        for (int32_t v = 0; v < 4; ++v) twins_[v] = v;
        const auto count = static_cast<int64_t>(points_.size());
        // Few at first: workers need room to keep out of each other's way.
        for (int64_t begin = 4, end; begin < count && !mesh_.abandoned(); begin = end) {
            end = std::min(count, std::max(kFirst, 8 * begin));
            insert(begin, end, static_cast<int>(std::clamp<int64_t>(begin / 64, 1, pool_.size())));
        }
    }
    const TetMesh& mesh() const { return mesh_; }
    // For each point itself, or the equal one that is in the triangulation instead.
    const std::vector<int32_t>& twins() const { return twins_; }

private:
    struct Worker {
        Worker(const std::vector<Point3>& points, TetMesh& mesh, uint8_t number) : inserter(points, mesh, number) {}
        Inserter inserter;
        int64_t next = 0, end = 0;   // points still to be inserted
        bool full = false;
    };

    void insert(int64_t begin, int64_t end, int count) {
        Runs runs(begin, end, count);
        for (;;) {
            if (count > 1)
                for (Worker& worker : workers_) worker.inserter.begin_sharing();
            pool_.run(count, 1, [&](int64_t k, int64_t, int) {
                try {
                    if (count > 1) work<true>(workers_[k], runs);
                    else work<false>(workers_[k], runs);
                } catch (...) {
                    mesh_.abandon();
                    throw;
                }
            });
            bool full = false;
            for (Worker& worker : workers_) full |= worker.full, worker.full = false;
            if (!full || mesh_.abandoned()) return;
            mesh_.grow();
        }
    }

    template <bool kShared>
    void work(Worker& worker, Runs& runs) {
        do {
            for (int tries = 0; worker.next < worker.end;) {
                if (stop_ && stop_->load(std::memory_order_relaxed)) mesh_.abandon();
                if (mesh_.abandoned()) return;
                const auto v = static_cast<int32_t>(worker.next);
                const auto outcome = worker.inserter.insert<kShared>(v, twins_[v]);
                if (outcome == Inserter::Outcome::kFull) {
                    worker.full = true;
                    return;
                }
                if (outcome == Inserter::Outcome::kDone) {
                    ++worker.next;
                    tries = 0;
                } else if (++tries > 8) {
                    std::this_thread::yield();
                }
            }
        } while (runs.take(worker.next, worker.end));
    }

    const std::vector<Point3>& points_;
    ThreadPool& pool_;
    const std::atomic<uint8_t>* stop_;
    std::vector<int32_t> twins_;
    TetMesh mesh_;
    std::deque<Worker> workers_;
};

}  // namespace

Buffer<int32_t> delaunay(std::vector<Point3> points, int threads, const std::atomic<uint8_t>* stop) {
    const auto count = static_cast<int64_t>(points.size());
    if (threads <= 0) threads = static_cast<int>(std::min<int64_t>(num_threads(), 1 + count / kPointsPerThread));
    ThreadPool pool(std::min(threads, 255));
    normalise(points, pool);
    std::vector<int32_t> order = insertion_order(points, pool);
    if (order.empty() || !lead_with_simplex(points, order)) return {};
    std::vector<Point3> sorted(points.size());
    pool.run(count, kGrain, [&](int64_t begin, int64_t end, int) {
        for (int64_t k = begin; k < end; ++k) sorted[k] = points[order[k]];
    });

    Triangulator triangulator(sorted, pool, stop);
    triangulator.run();
    if (triangulator.mesh().abandoned()) return {};
    // Equal points take the name of the one with the lowest index.
    for (int64_t k = 0; k < count; ++k) {
        const int32_t twin = triangulator.twins()[k];
        order[twin] = std::min(order[twin], order[k]);
    }
    return ordered_tets(triangulator.mesh(), order, pool);
}

}  // namespace milo
