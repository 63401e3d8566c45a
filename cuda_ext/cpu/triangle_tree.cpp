// SPDX-License-Identifier: Apache-2.0
#include "triangle_tree.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace milo {
namespace {

constexpr int32_t kLeaf = 4;

double box_distance2(const float low[3], const float high[3], const double query[3]) {
    double sum = 0;
    for (int axis = 0; axis < 3; ++axis) {
        const double d = std::max(std::max(low[axis] - query[axis], query[axis] - high[axis]), 0.0);
        sum += d * d;
    }
    return sum;
}

double dot(const double a[3], const double b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

// Nearest point of the segment from corner i to corner j.
void on_edge(const double corner[3][3], const double query[3], int i, int j, SurfacePoint& best) {
    double along[3], to[3];
    for (int axis = 0; axis < 3; ++axis) {
        along[axis] = corner[j][axis] - corner[i][axis];
        to[axis] = query[axis] - corner[i][axis];
    }
    const double length2 = dot(along, along);
    const double t = length2 > 0 ? std::clamp(dot(to, along) / length2, 0.0, 1.0) : 0.0;
    double dist2 = 0;
    for (int axis = 0; axis < 3; ++axis) dist2 += (to[axis] - t * along[axis]) * (to[axis] - t * along[axis]);
    if (dist2 < best.dist2) {
        best.dist2 = dist2;
        best.share[0] = best.share[1] = best.share[2] = 0;
        best.share[i] = 1 - t;
        best.share[j] += t;
    }
}

}  // namespace

TriangleTree::TriangleTree(const float* verts, const int32_t* faces, int64_t count)
    : verts_(verts), faces_(faces), order_(count) {
    std::vector<float> middles(3 * count);
    for (int64_t f = 0; f < count; ++f)
        for (int axis = 0; axis < 3; ++axis)
            for (int k = 0; k < 3; ++k) middles[3 * f + axis] += verts[3 * int64_t(faces[3 * f + k]) + axis] / 3;
    std::iota(order_.begin(), order_.end(), 0);
    nodes_.reserve(count + 1);
    build(0, int32_t(count), middles);
}

int32_t TriangleTree::build(int32_t begin, int32_t end, const std::vector<float>& middles) {
    const int32_t id = int32_t(nodes_.size());
    Node node{};
    float low[3], high[3];   // of the middles
    for (int axis = 0; axis < 3; ++axis) {
        node.low[axis] = low[axis] = std::numeric_limits<float>::infinity();
        node.high[axis] = high[axis] = -std::numeric_limits<float>::infinity();
    }
    for (int32_t i = begin; i < end; ++i)
        for (int axis = 0; axis < 3; ++axis) {
            const float middle = middles[3 * int64_t(order_[i]) + axis];
            low[axis] = std::min(low[axis], middle), high[axis] = std::max(high[axis], middle);
            for (int k = 0; k < 3; ++k) {
                const float x = verts_[3 * int64_t(faces_[3 * int64_t(order_[i]) + k]) + axis];
                node.low[axis] = std::min(node.low[axis], x), node.high[axis] = std::max(node.high[axis], x);
            }
        }
    node.begin = begin, node.end = end;
    nodes_.push_back(node);
    if (end - begin <= kLeaf) return id;

    int widest = 0;
    for (int axis = 1; axis < 3; ++axis)
        if (high[axis] - low[axis] > high[widest] - low[widest]) widest = axis;
    const int32_t half = begin + (end - begin) / 2;
    std::nth_element(order_.begin() + begin, order_.begin() + half, order_.begin() + end, [&](int32_t a, int32_t b) {
        return middles[3 * int64_t(a) + widest] < middles[3 * int64_t(b) + widest];
    });
    build(begin, half, middles);
    const int32_t right = build(half, end, middles);
    nodes_[id].right = right;
    return id;
}

SurfacePoint TriangleTree::on_face(int32_t face, const double query[3]) const {
    double corner[3][3], ab[3], ac[3], to[3];
    for (int k = 0; k < 3; ++k)
        for (int axis = 0; axis < 3; ++axis)
            corner[k][axis] = verts_[3 * int64_t(faces_[3 * int64_t(face) + k]) + axis];
    for (int axis = 0; axis < 3; ++axis) {
        ab[axis] = corner[1][axis] - corner[0][axis];
        ac[axis] = corner[2][axis] - corner[0][axis];
        to[axis] = query[axis] - corner[0][axis];
    }
    SurfacePoint best{std::numeric_limits<double>::infinity(), {1, 0, 0}, face};
    const double bb = dot(ab, ab), bc = dot(ab, ac), cc = dot(ac, ac), b = dot(to, ab), c = dot(to, ac);
    const double area2 = bb * cc - bc * bc;
    if (area2 > 1e-14 * bb * cc) {   // thinner ones are but their edges
        const double v = (cc * b - bc * c) / area2, w = (bb * c - bc * b) / area2;
        if (v >= 0 && w >= 0 && v + w <= 1) {
            double dist2 = 0;
            for (int axis = 0; axis < 3; ++axis) {
                const double d = to[axis] - v * ab[axis] - w * ac[axis];
                dist2 += d * d;
            }
            return {dist2, {1 - v - w, v, w}, face};
        }
    }
    on_edge(corner, query, 0, 1, best);
    on_edge(corner, query, 1, 2, best);
    on_edge(corner, query, 2, 0, best);
    return best;
}

SurfacePoint TriangleTree::nearest(const double query[3]) const {
    SurfacePoint best{std::numeric_limits<double>::infinity(), {1, 0, 0}, std::numeric_limits<int32_t>::max()};
    search(0, query, best);
    return best;
}

void TriangleTree::search(int32_t id, const double query[3], SurfacePoint& best) const {
    const Node& node = nodes_[id];
    if (!node.right) {
        for (int32_t i = node.begin; i < node.end; ++i) {
            const SurfacePoint found = on_face(order_[i], query);
            if (found.dist2 < best.dist2 || (found.dist2 == best.dist2 && found.face < best.face)) best = found;
        }
        return;
    }
    int32_t children[2] = {id + 1, node.right};
    double bounds[2];
    for (int side = 0; side < 2; ++side)
        bounds[side] = box_distance2(nodes_[children[side]].low, nodes_[children[side]].high, query);
    if (bounds[1] < bounds[0]) std::swap(children[0], children[1]), std::swap(bounds[0], bounds[1]);
    for (int side = 0; side < 2; ++side)
        if (bounds[side] * (1 - 1e-9) <= best.dist2) search(children[side], query, best);
}

void TriangleTree::within(const double query[3], double reach, std::vector<SurfacePoint>& out) const {
    const size_t before = out.size();
    gather(0, query, reach * reach, out);
    std::sort(out.begin() + before, out.end(),
              [](const SurfacePoint& a, const SurfacePoint& b) { return a.face < b.face; });
}

void TriangleTree::gather(int32_t id, const double query[3], double reach2, std::vector<SurfacePoint>& out) const {
    const Node& node = nodes_[id];
    if (box_distance2(node.low, node.high, query) * (1 - 1e-9) > reach2) return;
    if (node.right) {
        gather(id + 1, query, reach2, out);
        gather(node.right, query, reach2, out);
        return;
    }
    for (int32_t i = node.begin; i < node.end; ++i) {
        const SurfacePoint found = on_face(order_[i], query);
        if (found.dist2 <= reach2) out.push_back(found);
    }
}

}  // namespace milo
