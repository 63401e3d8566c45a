// SPDX-License-Identifier: Apache-2.0
// Which Gaussians each tile of the image walks, nearest first.  spec: rasterization.md 1.9, 9.4
#pragma once
#include <vector>

#include "buffer.h"
#include "extent.h"
#include "parallel.h"

namespace milo {

// What binning needs to know of each Gaussian.  touched = 0: draws nothing, the rest may be undefined.
template <class T>
struct Placements {
    explicit Placements(int64_t n) : depth(n), rect(n), outline(n), touched(n) {}
    Buffer<T> depth;              // view z of the mean, > 0
    Buffer<TileRect> rect;
    Buffer<Outline<T>> outline;
    Buffer<int32_t> touched;      // tiles, as counted by tiles_of
};

// Tiles that the outline meets within rect; their indices go to `tiles` unless it is null.  Returns how many.
// Compiled once, so that counting and filling agree to the last bit.
template <class T>
int32_t tiles_of(const TileRect& rect, const Outline<T>& outline, int tiles_x, int32_t* tiles);

// An instance is a pair (Gaussian, tile).  Instances of a tile are contiguous, by ascending depth, ties by index.
struct Binning {
    int tiles_x = 0, tiles_y = 0;
    Buffer<int64_t> tile_begin;      // [tiles + 1] first instance of each tile
    Buffer<int32_t> gaussian;        // [instances]
    Buffer<int64_t> gaussian_begin;  // [N + 1] into instance_of
    Buffer<int32_t> instance_of;     // [instances] by Gaussian: where its instances stand in the tile order
    std::vector<int32_t> busiest;    // tiles, those with most instances first

    int tiles() const { return tiles_x * tiles_y; }
    int64_t instances() const { return gaussian.size(); }
};

template <class T>
Binning bin(const Placements<T>& placed, int64_t n, int tiles_x, int tiles_y);

// gather(gaussian, first, last): the positions of its instances in the tile order, for every Gaussian.
template <class Gather>
void for_each_sum(const Binning& bins, int64_t n, Gather gather) {
    parallel_for(n, 256, [&](int64_t begin, int64_t end, int) {
        const int32_t* of = bins.instance_of.data();
        for (int64_t i = begin; i < end; ++i) gather(i, of + bins.gaussian_begin[i], of + bins.gaussian_begin[i + 1]);
    });
}

}  // namespace milo
