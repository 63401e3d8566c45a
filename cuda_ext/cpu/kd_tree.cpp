// SPDX-License-Identifier: Apache-2.0
#include "kd_tree.h"

#include <algorithm>
#include <limits>

namespace milo {
namespace {

constexpr int32_t kLeaf = 12;

// Squared distance from a point to a box, never more than the float distance to any point in it.
float box_distance2(const float low[3], const float high[3], const float query[3]) {
    float sum = 0;
    for (int axis = 0; axis < 3; ++axis) {
        const float d = std::max(std::max(low[axis] - query[axis], query[axis] - high[axis]), 0.f);
        sum += d * d;
    }
    return sum;
}

void insert(Neighbour found, int k, Neighbour* out) {
    if (!(found < out[k - 1])) return;
    int place = k - 1;
    for (; place > 0 && found < out[place - 1]; --place) out[place] = out[place - 1];
    out[place] = found;
}

}  // namespace

KdTree::KdTree(const float* points, int64_t count) {
    order_.reserve(count);
    for (int64_t i = 0; i < count; ++i)
        order_.push_back({{points[3 * i], points[3 * i + 1], points[3 * i + 2]}, int32_t(i)});
    nodes_.reserve(4 * (count / kLeaf) + 1);
    if (count) build(0, int32_t(count));
}

int32_t KdTree::build(int32_t begin, int32_t end) {
    const int32_t id = int32_t(nodes_.size());
    Node node{};
    for (int axis = 0; axis < 3; ++axis) node.low[axis] = node.high[axis] = order_[begin].xyz[axis];
    for (int32_t i = begin; i < end; ++i)
        for (int axis = 0; axis < 3; ++axis) {
            node.low[axis] = std::min(node.low[axis], order_[i].xyz[axis]);
            node.high[axis] = std::max(node.high[axis], order_[i].xyz[axis]);
        }
    node.begin = begin, node.end = end;
    nodes_.push_back(node);
    if (end - begin <= kLeaf) return id;

    int widest = 0;
    for (int axis = 1; axis < 3; ++axis)
        if (node.high[axis] - node.low[axis] > node.high[widest] - node.low[widest]) widest = axis;
    const int32_t middle = begin + (end - begin) / 2;
    std::nth_element(order_.begin() + begin, order_.begin() + middle, order_.begin() + end,
                     [widest](const Point& a, const Point& b) { return a.xyz[widest] < b.xyz[widest]; });
    build(begin, middle);
    const int32_t right = build(middle, end);
    nodes_[id].right = right;
    return id;
}

void KdTree::nearest(const float query[3], int k, int32_t skip, Neighbour* out) const {
    std::fill_n(out, k, Neighbour{std::numeric_limits<float>::infinity(), -1});
    if (!nodes_.empty() && k > 0) search(0, query, k, skip, out);
}

void KdTree::search(int32_t id, const float query[3], int k, int32_t skip, Neighbour* out) const {
    const Node& node = nodes_[id];
    if (!node.right) {
        for (int32_t i = node.begin; i < node.end; ++i) {
            const Point& p = order_[i];
            if (p.index == skip) continue;
            const float dx = p.xyz[0] - query[0], dy = p.xyz[1] - query[1], dz = p.xyz[2] - query[2];
            insert({dx * dx + dy * dy + dz * dz, p.index}, k, out);
        }
        return;
    }
    int32_t children[2] = {id + 1, node.right};
    float bounds[2];
    for (int side = 0; side < 2; ++side) {
        const Node& child = nodes_[children[side]];
        bounds[side] = box_distance2(child.low, child.high, query);
    }
    if (bounds[1] < bounds[0]) std::swap(children[0], children[1]), std::swap(bounds[0], bounds[1]);
    // "<=": at equal distance a lower index may still be inside.  The slack covers the rounding of both sums.
    for (int side = 0; side < 2; ++side)
        if (bounds[side] * 0.999999f <= out[k - 1].dist2) search(children[side], query, k, skip, out);
}

}  // namespace milo
