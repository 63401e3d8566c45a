// SPDX-License-Identifier: Apache-2.0
// Exact nearest neighbours in 3D.  spec: rasterization.md 6.1
#pragma once
#include <cstdint>
#include <vector>

namespace milo {

struct Neighbour {
    float dist2;
    int32_t index;   // -1 while the place is free
    // Nearer first, ties by index: the answer does not depend on the order of the search.
    bool operator<(const Neighbour& other) const {
        return dist2 < other.dist2 || (dist2 == other.dist2 && index < other.index);
    }
};

// A balanced k-d tree over points that the caller keeps alive.
class KdTree {
public:
    KdTree(const float* points, int64_t count);

    // The k points nearest to `query`, nearest first, into out[0..k); `skip` is left out (-1: none).
    // Places beyond the number of points keep an infinite distance and index -1.
    void nearest(const float query[3], int k, int32_t skip, Neighbour* out) const;

private:
    struct Node {
        float low[3], high[3];   // box of the points below
        int32_t begin, end;      // range in order_
        int32_t right;           // right child; the left one is the next node; 0: leaf
    };
    struct Point {
        float xyz[3];
        int32_t index;
    };
    int32_t build(int32_t begin, int32_t end);
    void search(int32_t node, const float query[3], int k, int32_t skip, Neighbour* out) const;

    std::vector<Point> order_;
    std::vector<Node> nodes_;
};

}  // namespace milo
