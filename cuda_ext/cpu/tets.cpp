// SPDX-License-Identifier: Apache-2.0
// Marching tetrahedra on a static edge table: an iteration only classifies signs and compacts, nothing is sorted.
#include "tets.h"

#include <algorithm>

#include "buffer.h"
#include "marching.h"
#include "parallel.h"

namespace milo {
namespace {

constexpr int64_t kGrain = 1 << 14;

// The indices in [0, count) that are chosen, in order.  Each chunk compacts into its own stretch of a scratch array.
class Compaction {
public:
    explicit Compaction(int64_t count) : scratch_(count), start_((count + kGrain - 1) / kGrain + 1, 0) {}

    int32_t* chunk(int64_t begin) { return scratch_.data() + begin; }
    void finish_chunk(int64_t begin, int64_t chosen) { start_[begin / kGrain + 1] = chosen; }
    int64_t total() {   // once all chunks are finished
        for (size_t k = 1; k < start_.size(); ++k) start_[k] += start_[k - 1];
        return start_.back();
    }
    template <class Visit>
    void each(Visit&& visit) const {   // visit(place, entry)
        parallel_for(static_cast<int64_t>(start_.size()) - 1, 1, [&](int64_t begin, int64_t end, int) {
            for (int64_t k = begin; k < end; ++k)
                for (int64_t place = start_[k]; place < start_[k + 1]; ++place)
                    visit(place, scratch_[k * kGrain + place - start_[k]]);
        });
    }

private:
    Buffer<int32_t> scratch_;
    std::vector<int64_t> start_;
};

template <class T>
Vec3<T> vec(const T (&p)[3]) {
    return {p[0], p[1], p[2]};
}

}  // namespace

template <class T>
Surface<T> march(const TetField<T>& field, Tets tets, const int32_t (*tet_edges)[6], int64_t num_tets) {
    Buffer<uint8_t> positive(field.num_points), code(num_tets);
    parallel_for(field.num_points, kGrain, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) positive[i] = field.sdf[i] > 0;
    });

    Compaction crossed(field.num_edges), single(num_tets), twice(num_tets);
    parallel_for(field.num_edges, kGrain, [&](int64_t begin, int64_t end, int) {
        int32_t* const out = crossed.chunk(begin);
        int64_t chosen = 0;
        for (int64_t e = begin; e < end; ++e) {
            out[chosen] = static_cast<int32_t>(e);
            chosen += positive[field.edges[e][0]] ^ positive[field.edges[e][1]];
        }
        crossed.finish_chunk(begin, chosen);
    });
    parallel_for(num_tets, kGrain, [&](int64_t begin, int64_t end, int) {
        int32_t *const one = single.chunk(begin), *const two = twice.chunk(begin);
        int64_t ones = 0, twos = 0;
        for (int64_t t = begin; t < end; ++t) {
            const int32_t* v = tets[t];
            const int c = positive[v[0]] | positive[v[1]] << 1 | positive[v[2]] << 2 | positive[v[3]] << 3;
            const int triangles = marching_triangles(c);
            code[t] = static_cast<uint8_t>(c);
            one[ones] = two[twos] = static_cast<int32_t>(t);
            ones += triangles == 1, twos += triangles == 2;
        }
        single.finish_chunk(begin, ones);
        twice.finish_chunk(begin, twos);
    });

    Surface<T> surface;
    const int64_t num_verts = crossed.total(), ones = single.total(), twos = twice.total();
    surface.verts.resize(3 * num_verts);
    surface.edge_ids.resize(num_verts);
    surface.faces.resize(3 * (ones + 2 * twos));
    Buffer<int32_t> vertex_of_edge(field.num_edges);   // defined on crossed edges alone
    crossed.each([&](int64_t m, int32_t e) {
        const auto [a, b] = field.edges[e];
        const Vec3<T> v = marching_vertex(vec(field.points[a]), vec(field.points[b]), field.sdf[a], field.sdf[b]);
        surface.verts[3 * m] = v.x, surface.verts[3 * m + 1] = v.y, surface.verts[3 * m + 2] = v.z;
        surface.edge_ids[m] = e;
        vertex_of_edge[e] = static_cast<int32_t>(m);
    });
    const auto triangles = [&](int32_t* face, int32_t t, int corners) {
        for (int k = 0; k < corners; ++k) face[k] = vertex_of_edge[tet_edges[t][marching_edge(code[t], k)]];
    };
    int32_t* const faces = surface.faces.data();
    single.each([&](int64_t place, int32_t t) { triangles(faces + 3 * place, t, 3); });
    twice.each([&](int64_t place, int32_t t) { triangles(faces + 3 * ones + 6 * place, t, 6); });
    return surface;
}

template <class T>
void march_backward(const TetField<T>& field, const int32_t* edge_ids, int64_t num_verts, const T (*grad_verts)[3],
                    T (*grad_points)[3], T* grad_sdf) {
    // Each part owns a stretch of the points and reads all vertices: sums keep their order, without atomics.
    const int64_t parts = num_verts < kGrain ? 1 : num_threads();
    parallel_for(parts, 1, [&](int64_t part_begin, int64_t part_end, int) {
        const int64_t low = field.num_points * part_begin / parts, high = field.num_points * part_end / parts;
        for (int64_t m = 0; m < num_verts; ++m) {
            const auto [a, b] = field.edges[edge_ids[m]];
            const bool own_a = a >= low && a < high, own_b = b >= low && b < high;
            if (!own_a && !own_b) continue;
            const auto grad = marching_gradient(vec(field.points[a]), vec(field.points[b]), field.sdf[a], field.sdf[b],
                                                vec(grad_verts[m]));
            const auto add = [&](int32_t i, const Vec3<T>& point, T sdf) {
                grad_points[i][0] += point.x, grad_points[i][1] += point.y, grad_points[i][2] += point.z;
                grad_sdf[i] += sdf;
            };
            if (own_a) add(a, grad.a, grad.sdf_a);
            if (own_b) add(b, grad.b, grad.sdf_b);
        }
    });
}

template Surface<float> march(const TetField<float>&, Tets, const int32_t (*)[6], int64_t);
template Surface<double> march(const TetField<double>&, Tets, const int32_t (*)[6], int64_t);
template void march_backward(const TetField<float>&, const int32_t*, int64_t, const float (*)[3], float (*)[3], float*);
template void march_backward(const TetField<double>&, const int32_t*, int64_t, const double (*)[3], double (*)[3],
                             double*);

}  // namespace milo
