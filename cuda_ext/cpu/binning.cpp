// SPDX-License-Identifier: Apache-2.0
#include "binning.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <utility>

#include "parallel.h"

namespace milo {
namespace {

// Positive floating-point numbers order as their bits.
template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

// Indices of the Gaussians that touch a tile, by ascending depth; equal depths stay in index order.
template <class T>
std::vector<int32_t> by_depth(const Placements<T>& placed, int64_t n) {
    struct Item {
        Bits<T> key;
        int32_t index;
    };
    std::vector<Item> items, other;
    items.reserve(n);
    for (int64_t i = 0; i < n; ++i) {
        if (placed.touched[i] == 0) continue;
        Item item{0, static_cast<int32_t>(i)};
        std::memcpy(&item.key, &placed.depth[i], sizeof(T));
        items.push_back(item);
    }
    other.resize(items.size());
    constexpr int digit = 11, buckets = 1 << digit;
    constexpr int passes = (8 * sizeof(T) + digit - 1) / digit;
    std::vector<int64_t> counts(passes * buckets, 0);
    for (const Item& item : items)
        for (int p = 0; p < passes; ++p) ++counts[p * buckets + ((item.key >> (p * digit)) & (buckets - 1))];
    for (int p = 0; p < passes; ++p) {
        int64_t* count = counts.data() + p * buckets;
        if (std::any_of(count, count + buckets, [&](int64_t c) { return c == int64_t(items.size()); })) continue;
        int64_t start = 0;
        for (int b = 0; b < buckets; ++b) start += std::exchange(count[b], start);
        for (const Item& item : items) other[count[(item.key >> (p * digit)) & (buckets - 1)]++] = item;
        items.swap(other);
    }
    std::vector<int32_t> order(items.size());
    for (size_t k = 0; k < items.size(); ++k) order[k] = items[k].index;
    return order;
}

}  // namespace

template <class T>
#if defined(__GNUC__)
__attribute__((noinline))
#endif
int32_t tiles_of(const TileRect& rect, const Outline<T>& outline, int tiles_x, int32_t* tiles) {
    int32_t count = 0;
    for (int ty = rect.y0; ty < rect.y1; ++ty) {
        int first, last;
        row_tiles(outline, rect, ty, first, last);
        if (tiles)
            for (int tx = first; tx < last; ++tx) tiles[count + tx - first] = ty * tiles_x + tx;
        count += last > first ? last - first : 0;
    }
    return count;
}

template <class T>
Binning bin(const Placements<T>& placed, int64_t n, int tiles_x, int tiles_y) {
    Binning b;
    b.tiles_x = tiles_x;
    b.tiles_y = tiles_y;
    const int tiles = b.tiles();
    const std::vector<int32_t> order = by_depth(placed, n);
    b.gaussian_begin = Buffer<int64_t>(n + 1);
    int64_t total = 0;
    for (int64_t i = 0; i < n; ++i) {
        b.gaussian_begin[i] = total;
        total += placed.touched[i];
    }
    b.gaussian_begin[n] = total;
    Buffer<int32_t> tile_of(total);   // by Gaussian
    parallel_for(n, 1024, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i)
            if (placed.touched[i])
                tiles_of(placed.rect[i], placed.outline[i], tiles_x, tile_of.data() + b.gaussian_begin[i]);
    });

    // A counting scatter that keeps the depth order: one histogram per run of Gaussians, summed run after run.
    b.gaussian = Buffer<int32_t>(total);
    b.instance_of = Buffer<int32_t>(total);
    const int64_t visible = order.size();
    const int64_t runs = std::max<int64_t>(1, std::min<int64_t>(num_threads(), visible / 4096));
    const int64_t run = (visible + runs - 1) / runs;
    std::vector<int64_t> cursor(runs * tiles, 0);
    const auto each_instance = [&](int64_t r, const auto& visit) {
        int64_t* row = cursor.data() + r * tiles;
        for (int64_t k = r * run; k < std::min(visible, (r + 1) * run); ++k)
            for (int64_t j = b.gaussian_begin[order[k]]; j < b.gaussian_begin[order[k] + 1]; ++j)
                visit(order[k], j, row[tile_of[j]]);
    };
    parallel_for(runs, 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r)
            each_instance(r, [](int32_t, int64_t, int64_t& count) { ++count; });
    });
    b.tile_begin = Buffer<int64_t>(tiles + 1);
    int64_t start = 0;
    for (int tile = 0; tile < tiles; ++tile) {
        b.tile_begin[tile] = start;
        for (int64_t r = 0; r < runs; ++r) start += std::exchange(cursor[r * tiles + tile], start);
    }
    b.tile_begin[tiles] = start;
    parallel_for(runs, 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r)
            each_instance(r, [&](int32_t i, int64_t j, int64_t& next) {
                b.gaussian[next] = i;
                b.instance_of[j] = static_cast<int32_t>(next++);
            });
    });

    b.busiest.resize(tiles);
    std::iota(b.busiest.begin(), b.busiest.end(), 0);
    const auto load = [&](int32_t tile) { return b.tile_begin[tile + 1] - b.tile_begin[tile]; };
    std::sort(b.busiest.begin(), b.busiest.end(), [&](int32_t p, int32_t q) {
        return load(p) != load(q) ? load(p) > load(q) : p < q;
    });
    return b;
}

template int32_t tiles_of(const TileRect&, const Outline<float>&, int, int32_t*);
template int32_t tiles_of(const TileRect&, const Outline<double>&, int, int32_t*);
template Binning bin(const Placements<float>&, int64_t, int, int);
template Binning bin(const Placements<double>&, int64_t, int, int);

}  // namespace milo
