// SPDX-License-Identifier: Apache-2.0
#include "delaunay_order.h"

#include <algorithm>
#include <atomic>
#include <memory>

namespace milo {
namespace {

constexpr int64_t kGrain = 1 << 13;

struct Row {
    int32_t v[4];   // descending, but for the last two
};

// The even permutation with the vertices in descending order, or the last two the other way round.
Row descending(const int32_t* vertex) {
    int32_t a = vertex[0], b = vertex[1], c = vertex[2], d = vertex[3];
    bool odd = false;
    const auto order = [&odd](int32_t& x, int32_t& y) {
        odd ^= x < y;
        const int32_t high = std::max(x, y), low = std::min(x, y);
        x = high, y = low;
    };
    order(a, b), order(c, d), order(a, c), order(b, d), order(b, c);
    return odd ? Row{{a, b, d, c}} : Row{{a, b, c, d}};
}

bool before(const Row& r, const Row& s) {   // both with the same v[0]
    const auto key = [](const Row& row) { return static_cast<uint64_t>(row.v[1]) << 32 | static_cast<uint32_t>(row.v[2]); };
    return key(r) != key(s) ? key(r) < key(s) : r.v[3] < s.v[3];
}

void sort_rows(Row* rows, int64_t count) {
    if (count > 64) {
        std::sort(rows, rows + count, before);
        return;
    }
    for (int64_t i = 1; i < count; ++i) {
        const Row row = rows[i];
        int64_t k = i;
        for (; k > 0 && before(row, rows[k - 1]); --k) rows[k] = rows[k - 1];
        rows[k] = row;
    }
}

}  // namespace

Buffer<int32_t> ordered_tets(const TetMesh& mesh, const std::vector<int32_t>& name, ThreadPool& pool) {
    const auto num_points = static_cast<int64_t>(name.size());
    // Bucket by the last vertex.  Threads fill buckets in any order; sorting makes it the same.
    std::unique_ptr<std::atomic<int32_t>[]> filled(new std::atomic<int32_t>[num_points]());
    const auto add_one = [&](int32_t vertex) {   // the count before
        if (pool.size() > 1) return filled[vertex].fetch_add(1, std::memory_order_relaxed);
        const int32_t count = filled[vertex].load(std::memory_order_relaxed);
        filled[vertex].store(count + 1, std::memory_order_relaxed);
        return count;
    };
    const auto each = [&](auto&& visit) {
        pool.run(mesh.used(), kGrain, [&](int64_t begin, int64_t end, int) {
            for (auto t = static_cast<int32_t>(begin); t < end; ++t)
                if (!mesh[t].removed() && mesh[t].vertex[3] != kInfinity) visit(mesh[t].vertex);
        });
    };
    each([&](const int32_t* v) { add_one(std::max(std::max(v[0], v[1]), std::max(v[2], v[3]))); });

    std::vector<int64_t> first(num_points + 1, 0);
    for (int64_t v = 0; v < num_points; ++v) {
        first[v + 1] = first[v] + filled[v].load(std::memory_order_relaxed);
        filled[v].store(0, std::memory_order_relaxed);
    }
    Buffer<int32_t> tets(4 * first[num_points]);
    Row* const rows = reinterpret_cast<Row*>(tets.data());
    each([&](const int32_t* v) {
        const Row row = descending(v);
        rows[first[row.v[0]] + add_one(row.v[0])] = row;
    });
    pool.run(num_points, kGrain, [&](int64_t begin, int64_t end, int) {
        for (int64_t v = begin; v < end; ++v) {
            sort_rows(rows + first[v], first[v + 1] - first[v]);
            for (int64_t k = first[v]; k < first[v + 1]; ++k)
                for (int32_t& vertex : rows[k].v) vertex = name[vertex];
        }
    });
    return tets;
}

}  // namespace milo
