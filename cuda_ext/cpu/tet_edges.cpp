// SPDX-License-Identifier: Apache-2.0
// Unique edges by bucket: each vertex collects the larger ends of its edges, and sorts those few.
#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "buffer.h"
#include "parallel.h"
#include "tets.h"

namespace milo {
namespace {

constexpr int64_t kGrain = 1 << 14;

void order(int32_t& a, int32_t& b) {
    const int32_t low = std::min(a, b), high = std::max(a, b);
    a = low, b = high;
}

void sort4(int32_t v[4]) {
    order(v[0], v[1]), order(v[2], v[3]), order(v[0], v[2]), order(v[1], v[3]), order(v[1], v[2]);
}

// Sort values and drop repetitions; most vertices have a few edges, each seen from about five tetrahedra.
int32_t sort_unique(int32_t* values, int64_t count) {
    if (count > 256) {
        std::sort(values, values + count);
        return static_cast<int32_t>(std::unique(values, values + count) - values);
    }
    int32_t unique = 0;
    for (int64_t i = 0; i < count; ++i) {
        const int32_t value = values[i];
        int32_t k = unique;
        while (k > 0 && values[k - 1] > value) --k;
        if (k > 0 && values[k - 1] == value) continue;
        for (int32_t j = unique++; j > k; --j) values[j] = values[j - 1];
        values[k] = value;
    }
    return unique;
}

// Where value is in the sorted stretch [begin, end), which holds it; without branches, which nothing could predict.
int32_t find(const int32_t* sorted, int32_t begin, int32_t end, int32_t value) {
    for (int32_t length = end - begin; length > 1;) {
        const int32_t half = length / 2;
        begin += sorted[begin + half - 1] < value ? half : 0;
        length -= half;
    }
    return begin;
}

}  // namespace

Buffer<int32_t> unique_edges(Tets tets, int64_t count, int64_t num_points, int32_t (*tet_edges)[6]) {
    // The order in which threads fill a bucket varies, what comes out of sorting it does not.
    std::unique_ptr<std::atomic<int32_t>[]> filled(new std::atomic<int32_t>[num_points]());
    const auto each_corner = [&](auto&& visit) {   // visit(vertex, larger vertices of a tetrahedron, how many)
        parallel_for(count, kGrain, [&](int64_t begin, int64_t end, int) {
            for (int64_t t = begin; t < end; ++t) {
                int32_t v[4] = {tets[t][0], tets[t][1], tets[t][2], tets[t][3]};
                sort4(v);
                for (int k = 0; k < 3; ++k) visit(v[k], v + k + 1, 3 - k);
            }
        });
    };
    each_corner([&](int32_t a, const int32_t*, int n) { filled[a].fetch_add(n, std::memory_order_relaxed); });

    std::vector<int64_t> bucket(num_points + 1, 0);
    for (int64_t a = 0; a < num_points; ++a) {
        bucket[a + 1] = bucket[a] + filled[a].load(std::memory_order_relaxed);
        filled[a].store(0, std::memory_order_relaxed);
    }
    Buffer<int32_t> larger(bucket[num_points]);
    each_corner([&](int32_t a, const int32_t* b, int n) {
        std::copy(b, b + n, larger.data() + bucket[a] + filled[a].fetch_add(n, std::memory_order_relaxed));
    });

    std::vector<int32_t> first(num_points + 1, 0);   // edge of each vertex
    parallel_for(num_points, kGrain, [&](int64_t begin, int64_t end, int) {
        for (int64_t a = begin; a < end; ++a)
            first[a + 1] = sort_unique(larger.data() + bucket[a], bucket[a + 1] - bucket[a]);
    });
    for (int64_t a = 0; a < num_points; ++a) first[a + 1] += first[a];

    Buffer<int32_t> edges(2 * int64_t(first[num_points])), ends(first[num_points]);   // ends: the larger ones, compact
    parallel_for(num_points, kGrain, [&](int64_t begin, int64_t end, int) {
        for (int64_t a = begin; a < end; ++a)
            for (int64_t e = first[a]; e < first[a + 1]; ++e) {
                edges[2 * e] = static_cast<int32_t>(a);
                edges[2 * e + 1] = ends[e] = larger[bucket[a] + e - first[a]];
            }
    });
    parallel_for(count, kGrain, [&](int64_t begin, int64_t end, int) {
        constexpr int corner[6][2] = {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}};
        for (int64_t t = begin; t < end; ++t)
            for (int k = 0; k < 6; ++k) {
                int32_t a = tets[t][corner[k][0]], b = tets[t][corner[k][1]];
                order(a, b);
                tet_edges[t][k] = find(ends.data(), first[a], first[a + 1], b);
            }
    });
    return edges;
}

}  // namespace milo
