// SPDX-License-Identifier: Apache-2.0
#include "spatial_sort.h"

#include <algorithm>
#include <array>

namespace milo {
namespace {

constexpr int kLevels = 16;               // of the Hilbert curve: 48-bit keys
constexpr int kDigit = 12;                // of the radix sort
constexpr int64_t kGrain = 1 << 13;
constexpr int64_t kSmallestRound = 256;   // points of the first round, about
constexpr int64_t kSmallestRun = 32;      // points in one cell of the curve's last level that are worth another curve

struct Keyed {
    uint64_t key;
    int32_t index;
};

// The 3D Hilbert curve as a finite automaton over the octants (C. Hamilton, "Compact Hilbert Indices", 2006): a state is
// the entry corner e and the direction d of a cell, as e * 3 + d.
struct HilbertCurve {
    std::array<std::array<uint8_t, 8>, 24> digit, next;

    HilbertCurve() {
        const auto gray = [](int i) { return i ^ (i >> 1); };
        const auto rotate_left = [](int b, int k) { return ((b << (k % 3)) | (b >> (3 - k % 3))) & 7; };
        for (int e = 0; e < 8; ++e)
            for (int d = 0; d < 3; ++d)
                for (int w = 0; w < 8; ++w) {
                    const int octant = rotate_left(gray(w), d + 1) ^ e;
                    const int entry = w == 0 ? 0 : gray((w - 1) / 2 * 2);
                    int ones = 0;   // trailing ones of w, or of w - 1 when w is even
                    for (int i = w == 0 ? 0 : (w % 2 ? w : w - 1); i & 1; i >>= 1) ++ones;
                    digit[e * 3 + d][octant] = static_cast<uint8_t>(w);
                    next[e * 3 + d][octant] =
                        static_cast<uint8_t>((e ^ rotate_left(entry, d + 1)) * 3 + (d + ones % 3 + 1) % 3);
                }
    }
    uint64_t key(uint32_t x, uint32_t y, uint32_t z) const {
        uint64_t key = 0;
        int state = 0;
        for (int level = kLevels - 1; level >= 0; --level) {
            const int octant = ((x >> level & 1) << 2) | ((y >> level & 1) << 1) | (z >> level & 1);
            key = key << 3 | digit[state][octant];
            state = next[state][octant];
        }
        return key;
    }
};

void radix_sort(Keyed* items, Keyed* scratch, int64_t count) {
    constexpr int kPasses = 3 * kLevels / kDigit, kBuckets = 1 << kDigit;
    static_assert(kPasses % 2 == 0 && kPasses * kDigit == 3 * kLevels, "the result must end up in items");
    if (count < kBuckets) {
        std::sort(items, items + count,
                  [](const Keyed& a, const Keyed& b) { return a.key != b.key ? a.key < b.key : a.index < b.index; });
        return;
    }
    std::vector<int64_t> start(kBuckets);
    for (int pass = 0; pass < kPasses; ++pass) {
        const int shift = pass * kDigit;
        std::fill(start.begin(), start.end(), 0);
        for (int64_t i = 0; i < count; ++i) ++start[items[i].key >> shift & (kBuckets - 1)];
        int64_t sum = 0;
        for (auto& s : start) {
            const int64_t n = s;
            s = sum, sum += n;
        }
        for (int64_t i = 0; i < count; ++i) scratch[start[items[i].key >> shift & (kBuckets - 1)]++] = items[i];
        std::swap(items, scratch);
    }
}

struct Bounds {
    Point3 low, high;

    void add(const Point3& p) {
        low = {std::min(low.x, p.x), std::min(low.y, p.y), std::min(low.z, p.z)};
        high = {std::max(high.x, p.x), std::max(high.y, p.y), std::max(high.z, p.z)};
    }
    double extent() const { return std::max({high.x - low.x, high.y - low.y, high.z - low.z}); }

    // Place on the curve in the bounding cube; the extent must not be 0.
    uint64_t key(const HilbertCurve& curve, const Point3& p) const {
        constexpr double kCells = 1 << kLevels;
        const double size = extent();
        const auto cell = [size](double offset) {
            return static_cast<uint32_t>(std::min(offset / size * kCells, kCells - 1));
        };
        return curve.key(cell(p.x - low.x), cell(p.y - low.y), cell(p.z - low.z));
    }
};

void hilbert_sort(const std::vector<Point3>& points, const HilbertCurve& curve, Keyed* items, Keyed* scratch, int64_t count);

// Sort items that have their keys; crowded cells again, each in its own cube, so that clusters of any scale are resolved.
void sort_by_key(const std::vector<Point3>& points, const HilbertCurve& curve, Keyed* items, Keyed* scratch, int64_t count) {
    radix_sort(items, scratch, count);
    for (int64_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && items[end].key == items[begin].key;) ++end;
        if (end - begin >= kSmallestRun) hilbert_sort(points, curve, items + begin, scratch, end - begin);
    }
}

// Sort along the curve in the items' own bounding cube.
void hilbert_sort(const std::vector<Point3>& points, const HilbertCurve& curve, Keyed* items, Keyed* scratch, int64_t count) {
    Bounds bounds{points[items[0].index], points[items[0].index]};
    for (int64_t i = 1; i < count; ++i) bounds.add(points[items[i].index]);
    if (!(bounds.extent() > 0)) return;   // all the same point
    for (int64_t i = 0; i < count; ++i) items[i].key = bounds.key(curve, points[items[i].index]);
    sort_by_key(points, curve, items, scratch, count);
}

// Move items from one array to another, bucket after bucket, otherwise in their order: returns where each bucket starts.
template <class From, class BucketOf, class Move>
std::vector<int64_t> distribute(ThreadPool& pool, const From* from, int64_t count, int64_t buckets, BucketOf&& bucket_of,
                                Move&& move) {
    const int64_t parts = pool.size(), length = (count + parts - 1) / parts;
    std::vector<std::vector<int64_t>> at(parts, std::vector<int64_t>(buckets, 0));
    pool.run(parts, 1, [&](int64_t part, int64_t, int) {
        for (int64_t i = part * length; i < std::min(count, (part + 1) * length); ++i) ++at[part][bucket_of(from[i])];
    });
    std::vector<int64_t> start(buckets + 1, 0);
    int64_t sum = 0;
    for (int64_t b = 0; b < buckets; ++b) {
        start[b] = sum;
        for (auto& of_part : at) {
            const int64_t n = of_part[b];
            of_part[b] = sum, sum += n;
        }
    }
    start[buckets] = sum;
    pool.run(parts, 1, [&](int64_t part, int64_t, int) {
        for (int64_t i = part * length; i < std::min(count, (part + 1) * length); ++i)
            move(from[i], at[part][bucket_of(from[i])]++);
    });
    return start;
}

// All points along the curve.
std::vector<Keyed> sorted_along_curve(const std::vector<Point3>& points, const HilbertCurve& curve, ThreadPool& pool) {
    const auto count = static_cast<int64_t>(points.size());
    std::vector<Keyed> items(count), scratch(count);
    std::vector<Bounds> parts(pool.size(), Bounds{points[0], points[0]});
    pool.run(count, kGrain, [&](int64_t begin, int64_t end, int thread) {
        for (int64_t i = begin; i < end; ++i) parts[thread].add(points[i]);
    });
    Bounds bounds = parts[0];
    for (const Bounds& part : parts) bounds.add(part.low), bounds.add(part.high);
    const bool one_point = !(bounds.extent() > 0);
    pool.run(count, kGrain, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i)
            items[i] = {one_point ? 0 : bounds.key(curve, points[i]), static_cast<int32_t>(i)};
    });
    if (one_point) return items;
    if (pool.size() == 1) {
        sort_by_key(points, curve, items.data(), scratch.data(), count);
        return items;
    }
    const auto start = distribute(pool, items.data(), count, int64_t{1} << kDigit,
                                  [](const Keyed& item) { return item.key >> (3 * kLevels - kDigit); },
                                  [&](const Keyed& item, int64_t to) { scratch[to] = item; });
    pool.run(int64_t{1} << kDigit, 1, [&](int64_t bucket, int64_t, int) {
        const int64_t begin = start[bucket], size = start[bucket + 1] - begin;
        if (size > 0) sort_by_key(points, curve, scratch.data() + begin, items.data() + begin, size);
    });
    return scratch;
}

uint64_t hash(uint64_t x) {   // splitmix64
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

}  // namespace

std::vector<int32_t> insertion_order(const std::vector<Point3>& points, ThreadPool& pool) {
    const auto count = static_cast<int64_t>(points.size());
    std::vector<int32_t> order(count);
    if (count == 0) return order;
    static const HilbertCurve curve;
    const std::vector<Keyed> items = sorted_along_curve(points, curve, pool);

    // Each round holds an eighth of the points of the next one.
    int rounds = 1;
    for (int64_t n = count; n > 8 * kSmallestRound; n /= 8) ++rounds;
    const auto round_of = [&](const Keyed& item) {
        uint64_t bits = hash(static_cast<uint64_t>(item.index));
        int round = rounds - 1;
        for (; round > 0 && (bits & 7) == 0; --round) bits >>= 3;
        return round;
    };
    distribute(pool, items.data(), count, rounds, round_of, [&](const Keyed& item, int64_t to) { order[to] = item.index; });
    return order;
}

}  // namespace milo
