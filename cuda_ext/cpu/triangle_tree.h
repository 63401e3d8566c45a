// SPDX-License-Identifier: Apache-2.0
// Exact closest points on a triangle mesh, by a tree of boxes.  In double: copies of a triangle are told from near ones.
#pragma once
#include <cstdint>
#include <vector>

namespace milo {

struct SurfacePoint {
    double dist2;
    double share[3];   // barycentric coordinates, each in [0, 1], sum 1
    int32_t face;
};

class TriangleTree {
public:
    // verts [V, 3] and faces [F, 3] are kept alive by the caller; F > 0.
    TriangleTree(const float* verts, const int32_t* faces, int64_t count);

    // The closest point; of equally close ones that of the lowest face.
    SurfacePoint nearest(const double query[3]) const;

    // A point of every face that is not farther than `reach`, by face, appended to `out`.
    void within(const double query[3], double reach, std::vector<SurfacePoint>& out) const;

private:
    struct Node {
        float low[3], high[3];
        int32_t begin, end;   // range in order_
        int32_t right;        // right child; the left one is the next node; 0: leaf
    };
    int32_t build(int32_t begin, int32_t end, const std::vector<float>& middles);
    SurfacePoint on_face(int32_t face, const double query[3]) const;
    void search(int32_t node, const double query[3], SurfacePoint& best) const;
    void gather(int32_t node, const double query[3], double reach2, std::vector<SurfacePoint>& out) const;

    const float* verts_;
    const int32_t* faces_;
    std::vector<int32_t> order_;
    std::vector<Node> nodes_;
};

}  // namespace milo
