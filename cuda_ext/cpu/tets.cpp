// SPDX-License-Identifier: Apache-2.0
// Marching tetrahedra on a static edge table: an iteration only classifies signs and compacts, nothing is sorted.
#include "tets.h"

#include <algorithm>
#include <vector>

#include "buffer.h"
#include "lanes.h"
#include "marching.h"
#include "parallel.h"

namespace milo {
namespace {

constexpr int64_t kGrain = 1 << 14;
constexpr int32_t kAhead = 12;   // cells whose edges are asked for ahead

int count_ones(uint64_t bits) {
#if defined(__GNUC__)
    return __builtin_popcountll(bits);
#else
    bits -= bits >> 1 & 0x5555555555555555u;
    bits = (bits & 0x3333333333333333u) + (bits >> 2 & 0x3333333333333333u);
    return static_cast<int>(((bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u >> 56);
#endif
}

// A set of numbers in [0, count), one bit each, so that random look-ups stay in the cache.
class BitSet {
public:
    explicit BitSet(int64_t count) : words_((count + 63) / 64) {}

    template <class Contains>
    void fill(int64_t begin, int64_t end, Contains&& contains) {   // begin is a multiple of 64
        for (int64_t first = begin; first < end; first += 64) {
            const int64_t last = std::min(first + 64, end);
            uint64_t bits = 0;
            for (int64_t i = first; i < last; ++i) bits |= uint64_t(contains(i)) << (i - first);
            words_[first >> 6] = bits;
        }
    }
    bool operator[](int64_t i) const { return words_[i >> 6] >> (i & 63) & 1; }
    const Buffer<uint64_t>& words() const { return words_; }

private:
    Buffer<uint64_t> words_;
};

// How many smaller numbers a set has.
class Ranks {
public:
    explicit Ranks(const BitSet& set) : words_(set.words()), before_(words_.size()) {
        int32_t total = 0;
        for (int64_t w = 0; w < words_.size(); ++w) {
            before_[w] = total;
            total += count_ones(words_[w]);
        }
    }
    int32_t operator[](int64_t i) const {
        return before_[i >> 6] + count_ones(words_[i >> 6] & ((uint64_t(1) << (i & 63)) - 1));
    }

private:
    const Buffer<uint64_t>& words_;
    Buffer<int32_t> before_;
};

// An array whose pieces are made by different threads before anyone knows how long they get.
template <class T>
class Pieces {
public:
    explicit Pieces(int64_t count) : pieces_((count + kGrain - 1) / kGrain) {}

    std::vector<T>& of(int64_t begin) { return pieces_[begin / kGrain]; }   // one piece for each stretch of kGrain
    int64_t size() const {
        int64_t size = 0;
        for (const auto& piece : pieces_) size += piece.size();
        return size;
    }
    void copy_to(T* out) const {
        std::vector<T*> at;
        for (const auto& piece : pieces_) at.push_back(out), out += piece.size();
        parallel_for(pieces_.size(), 1, [&](int64_t begin, int64_t end, int) {
            for (int64_t k = begin; k < end; ++k) std::copy(pieces_[k].begin(), pieces_[k].end(), at[k]);
        });
    }

private:
    std::vector<std::vector<T>> pieces_;
};

template <class T>
Vec3<T> vec(const T (&p)[3]) {
    return {p[0], p[1], p[2]};
}

}  // namespace

template <class T>
Surface<T> march(const TetField<T>& field, Tets tets, const int32_t (*tet_edges)[6], int64_t num_tets) {
    BitSet positive(field.num_points), crossed(field.num_edges), kept(field.radii ? field.num_edges : 0);
    parallel_for(field.num_points, kGrain, [&](int64_t begin, int64_t end, int) {
        positive.fill(begin, end, [&](int64_t i) { return field.sdf[i] > 0; });
    });

    Pieces<int32_t> edge_ids(field.num_edges);
    Pieces<T> verts(field.num_edges);
    parallel_for(field.num_edges, kGrain, [&](int64_t begin, int64_t end, int) {
        auto& ids = edge_ids.of(begin);
        ids.resize(end - begin);
        size_t chosen = 0;
        crossed.fill(begin, end, [&](int64_t e) {
            const bool crosses = positive[field.edges[e][0]] != positive[field.edges[e][1]];
            ids[chosen] = static_cast<int32_t>(e);
            chosen += crosses;   // in place of a branch that nothing could predict
            return crosses;
        });
        ids.resize(chosen);
        auto& out = verts.of(begin);
        out.reserve(3 * chosen);
        for (const int32_t e : ids) {
            const auto [a, b] = field.edges[e];
            const Vec3<T> v = marching_vertex(vec(field.points[a]), vec(field.points[b]), field.sdf[a], field.sdf[b]);
            out.insert(out.end(), {v.x, v.y, v.z});
        }
        if (!field.radii) return;
        kept.fill(begin, end, [&](int64_t e) {
            const auto [a, b] = field.edges[e];
            return crossed[e] &&
                   within_radii(vec(field.points[a]), vec(field.points[b]), field.radii[a], field.radii[b]);
        });
    });

    const Ranks vertex(crossed);
    Pieces<int32_t> single(num_tets), twice(num_tets);
    parallel_for(num_tets, kGrain, [&](int64_t begin, int64_t end, int) {
        Buffer<int32_t> cells[3] = {Buffer<int32_t>(end - begin), Buffer<int32_t>(end - begin), Buffer<int32_t>(end - begin)};
        int32_t chosen[3] = {0, 0, 0};   // cells with 0, 1 and 2 triangles, as 16 * (t - begin) + code
        for (int64_t t = begin; t < end; ++t) {
            int code = 0;
            for (int k = 0; k < 4; ++k) code |= positive[tets[t][k]] << k;
            const int triangles = marching_triangles(code);
            cells[triangles][chosen[triangles]++] = static_cast<int32_t>(16 * (t - begin) + code);
        }
        for (const int triangles : {1, 2}) {
            auto& faces = (triangles == 1 ? single : twice).of(begin);
            faces.resize(3 * triangles * chosen[triangles]);
            int32_t* face = faces.data();
            for (int32_t i = 0; i < chosen[triangles]; ++i) {
                MILO_PREFETCH(tet_edges[begin + (cells[triangles][std::min(i + kAhead, chosen[triangles] - 1)] >> 4)]);
                const int32_t cell = cells[triangles][i], *const edges = tet_edges[begin + (cell >> 4)];
                for (int first = 0; first < 3 * triangles; first += 3) {
                    bool whole = true;
                    for (int k = 0; k < 3; ++k) {
                        const int32_t edge = edges[marching_edge(cell & 15, first + k)];
                        whole = whole && (!field.radii || kept[edge]);
                        face[k] = vertex[edge];
                    }
                    if (whole) face += 3;
                }
            }
            faces.resize(face - faces.data());
        }
    });

    Surface<T> surface{Buffer<T>(verts.size()), Buffer<int32_t>(single.size() + twice.size()),
                       Buffer<int32_t>(edge_ids.size())};
    verts.copy_to(surface.verts.data());
    edge_ids.copy_to(surface.edge_ids.data());
    single.copy_to(surface.faces.data());
    twice.copy_to(surface.faces.data() + single.size());
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
