// SPDX-License-Identifier: Apache-2.0
// Finding the pixel pairs at silhouettes of a mesh, blending them, and the way back.  Spec: rasterization.md, 7.3.
#include <atomic>
#include <limits>
#include <memory>

#include "face_pixels.h"
#include "silhouette.h"
#include "vertex_sums.h"

namespace milo {
namespace {

constexpr int kBatch = 512;   // faces

// A pair of pixels whose way from A to B leaves A's face across an edge; a silhouette or not.
struct Candidate {
    int32_t pixel, direction, low, high;   // edge: low < high
    double s;
    Vec3<double> normal;   // of the plane through the eye and the edge, towards A's face; world frame
    double offset;         // normal . eye

    bool beyond(Vec3<double> world) const { return dot(normal, world) < offset; }
};

// z depth at each pixel, infinite where there is nothing.
template <class T>
std::vector<double> pixel_depths(const SeenMesh<T>& mesh, FaceImage image) {
    std::vector<double> depth(size_t(image.height) * image.width);
    each_pixel(
        mesh, image,
        [&](int64_t p, const CurrentFace<T>& face, Vec2<double> ray) {
            depth[p] = hit(face.triangle, ray).depth(face.triangle);
        },
        [&](int64_t p) { depth[p] = std::numeric_limits<double>::infinity(); });
    return depth;
}

// The corner of the face that is not on the edge, -1 if the edge is none of its own.
int32_t corner_opposite(const int32_t* f, int32_t a, int32_t b) {
    const bool on_edge[3] = {f[0] == a || f[0] == b, f[1] == a || f[1] == b, f[2] == a || f[2] == b};
    if (on_edge[0] + on_edge[1] + on_edge[2] != 2) return -1;
    return on_edge[0] ? (on_edge[1] ? f[2] : f[1]) : f[0];
}

// True if a face seen around pixel A continues the surface across the edge: most edges are settled here.  The indices
// have been checked by the depth pass.
template <class T>
bool continued_nearby(const SeenMesh<T>& mesh, FaceImage image, const Candidate& pair, int column, int row) {
    for (int y = std::max(row - 1, 0); y <= std::min(row + 1, image.height - 1); ++y)
        for (int x = std::max(column - 1, 0); x <= std::min(column + 1, image.width - 1); ++x) {
            const int32_t id = image.id[int64_t(y) * image.width + x];
            if (id < 0 || id == image.id[pair.pixel]) continue;
            const int32_t corner = corner_opposite(mesh.faces + 3 * int64_t(id), pair.low, pair.high);
            if (corner >= 0 && pair.beyond(mesh.world(corner))) return true;
        }
    return false;
}

template <class T>
std::vector<Candidate> candidates(const SeenMesh<T>& mesh, FaceImage image) {
    const Vec3<double> eye = -mesh.pose.rotate_back(mesh.pose.shift);
    const std::vector<double> depth = pixel_depths(mesh, image);
    std::vector<std::vector<Candidate>> found(num_bands(image.height));
    each_pixel(
        mesh, image,
        [&](int64_t p, const CurrentFace<T>& face, Vec2<double>) {
            const int column = int(p % image.width), row = int(p / image.width);
            const Triangle<double>& t = face.triangle;
            if (!(t.v[0].z > 0 && t.v[1].z > 0 && t.v[2].z > 0)) return;
            Vec2<double> offset[3];
            bool projected = false;
            for (int direction = 0; direction < 4; ++direction) {
                const Step step = step_of(direction);
                const int other_column = column + step.columns(), other_row = row + step.rows();
                if (other_column < 0 || other_column >= image.width || other_row < 0 ||
                    other_row >= image.height)
                    continue;
                const int64_t q = int64_t(other_row) * image.width + other_column;
                if (image.id[q] == image.id[p]) continue;
                if (depth[p] > depth[q] || (depth[p] == depth[q] && image.id[p] > image.id[q])) continue;
                for (int k = 0; k < 3 && !projected; ++k) offset[k] = screen_offset(mesh.lens, t.v[k], column, row);
                projected = true;
                Vec2<double> corner[3];
                for (int k = 0; k < 3; ++k) corner[k] = step.aligned(offset[k]);
                const Crossing<double> out = way_out(corner, step);
                if (out.edge < 0) continue;
                const int32_t a = face.corners[out.edge], b = face.corners[(out.edge + 1) % 3];
                const int third = (out.edge + 2) % 3;
                Vec3<double> n = cross(t.v[out.edge], t.v[(out.edge + 1) % 3]);
                if (dot(n, t.v[third] - t.v[out.edge]) < 0) n = -n;
                const Vec3<double> normal = mesh.pose.rotate_back(n);
                const Candidate pair{int32_t(p), direction, std::min(a, b),   std::max(a, b),
                                     out.s,      normal,    dot(normal, eye)};
                if (!continued_nearby(mesh, image, pair, column, row)) found[row / kBandRows].push_back(pair);
            }
        },
        [](int64_t) {});
    std::vector<Candidate> all;
    for (const auto& band : found) all.insert(all.end(), band.begin(), band.end());
    return all;
}

class BitSet {
public:
    explicit BitSet(int64_t size) : words_(size / 64 + 1) {}
    void insert(int32_t i) { words_[i >> 6] |= uint64_t(1) << (i & 63); }
    bool has(int32_t i) const { return words_[i >> 6] >> (i & 63) & 1; }

private:
    std::vector<uint64_t> words_;
};

// Which candidates' surface goes on beyond the edge.  One pass over all faces of the mesh, also the hidden ones, that
// looks edges up by their lower vertex.
template <class T>
std::vector<uint8_t> continued(const SeenMesh<T>& mesh, const std::vector<Candidate>& pairs) {
    const int64_t count = int64_t(pairs.size());
    BitSet lows(mesh.num_verts), highs(mesh.num_verts);   // they fit the cache and settle most edges
    std::vector<int32_t> first(mesh.num_verts, -1);       // lists of the pairs with the same lower vertex
    struct Link {
        int32_t next, high;
    };
    std::vector<Link> links(count);
    for (int64_t i = 0; i < count; ++i) {
        lows.insert(pairs[i].low);
        highs.insert(pairs[i].high);
        links[i] = {first[pairs[i].low], pairs[i].high};
        first[pairs[i].low] = int32_t(i);
    }
    std::unique_ptr<std::atomic<uint8_t>[]> found(new std::atomic<uint8_t>[count]);
    for (int64_t i = 0; i < count; ++i) found[i].store(0, std::memory_order_relaxed);
    struct Edge {
        int32_t low, high, opposite;
    };
    parallel_for(mesh.num_faces, kBatch, [&](int64_t begin, int64_t end, int) {
        Edge edges[3 * kBatch + 1];   // that may be in the lists; collected without branches
        int count = 0;
        for (int64_t f = begin; f < end; ++f) {
            const int32_t* v = mesh.faces + 3 * f;
            for (int k = 0; k < 3; ++k) mesh.check_vertex(v[k]);
            for (int k = 0; k < 3; ++k) {
                const int32_t a = v[k], b = v[(k + 1) % 3];
                const Edge edge{std::min(a, b), std::max(a, b), v[(k + 2) % 3]};
                edges[count] = edge;
                count += lows.has(edge.low) & highs.has(edge.high);
            }
        }
        for (int e = 0; e < count; ++e)
            for (int32_t i = first[edges[e].low]; i >= 0; i = links[i].next)
                if (links[i].high == edges[e].high && pairs[i].beyond(mesh.world(edges[e].opposite)))
                    found[i].store(1, std::memory_order_relaxed);
    });
    return std::vector<uint8_t>(found.get(), found.get() + count);
}

struct PixelPair {
    int64_t a, b;   // flat indices
    Blend<double> move;

    int64_t changed() const { return move.changes_b ? b : a; }
    int64_t other() const { return move.changes_b ? a : b; }
};

PixelPair pixel_pair(const SilhouettePairs& pairs, int64_t i, int width) {
    const Step step = step_of(pairs.direction[i]);
    const int64_t a = pairs.pixel[i];
    return {a, a + int64_t(step.rows()) * width + step.columns(), blend(pairs.s[i])};
}

}  // namespace

template <class T>
SilhouettePairs silhouette_pairs(const SeenMesh<T>& mesh, FaceImage image) {
    SilhouettePairs pairs;
    const std::vector<Candidate> all = candidates(mesh, image);
    if (all.empty()) return pairs;
    const std::vector<uint8_t> goes_on = continued(mesh, all);
    for (size_t i = 0; i < all.size(); ++i) {
        if (goes_on[i]) continue;
        pairs.pixel.push_back(all[i].pixel);
        pairs.direction.push_back(all[i].direction);
        pairs.edge.insert(pairs.edge.end(), {all[i].low, all[i].high});
        pairs.s.push_back(all[i].s);
    }
    return pairs;
}

template <class T>
void antialias(const SilhouettePairs& pairs, int height, int width, int channels, const T* in, T* out) {
    const int64_t pixels = int64_t(height) * width;
    std::copy(in, in + pixels * channels, out);
    for (size_t i = 0; i < pairs.s.size(); ++i) {
        const PixelPair pair = pixel_pair(pairs, int64_t(i), width);
        for (int64_t c = 0; c < channels * pixels; c += pixels) {
            const T difference = in[c + pair.other()] - in[c + pair.changed()];
            out[c + pair.changed()] += static_cast<T>(pair.move.amount * difference);
        }
    }
}

template <class T>
void antialias_backward(const SeenMesh<T>& mesh, const SilhouettePairs& pairs, int height, int width, int channels,
                        const T* in, const T* g_out, T* g_in, T* g_verts) {
    const int64_t pixels = int64_t(height) * width, count = int64_t(pairs.s.size());
    if (g_in) {
        std::copy(g_out, g_out + pixels * channels, g_in);
        for (int64_t i = 0; i < count; ++i) {
            const PixelPair pair = pixel_pair(pairs, i, width);
            for (int64_t c = 0; c < channels * pixels; c += pixels) {
                const T moved = static_cast<T>(pair.move.amount * g_out[c + pair.changed()]);
                g_in[c + pair.changed()] -= moved;
                g_in[c + pair.other()] += moved;
            }
        }
    }
    if (!g_verts) return;
    constexpr int64_t kChunk = 1024;   // pairs; fixed, so that sums do not depend on the number of threads
    VertexSums<T> sums((count + kChunk - 1) / kChunk, 3, 2 * kChunk);
    parallel_for(count, kChunk, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            if (pairs.s[i] <= 0 || pairs.s[i] >= 1) continue;   // clamped
            const PixelPair pair = pixel_pair(pairs, i, width);
            double g = 0;
            for (int64_t c = 0; c < channels * pixels; c += pixels)
                g += double(g_out[c + pair.changed()]) * (double(in[c + pair.a]) - double(in[c + pair.b]));
            const Step step = step_of(pairs.direction[i]);
            const int column = int(pair.a % width), row = int(pair.a / width);
            const int32_t* edge = &pairs.edge[2 * i];
            Vec3<double> v[2];
            Vec2<double> end_point[2], g_end[2] = {};
            for (int k = 0; k < 2; ++k) {
                v[k] = mesh.pose(mesh.world(edge[k]));
                end_point[k] = step.aligned(screen_offset(mesh.lens, v[k], column, row));
            }
            way_out_backward(end_point[0], end_point[1], g, g_end[0], g_end[1]);
            for (int k = 0; k < 2; ++k) {
                const Vec3<double> g_view = screen_backward(mesh.lens, v[k], step.aligned_back(g_end[k]));
                sums.add(begin / kChunk, edge[k], mesh.pose.rotate_back(g_view));
            }
        }
    });
    sums.into(g_verts);
}

#define MILO_INSTANTIATE(T)                                                                                         \
    template SilhouettePairs silhouette_pairs(const SeenMesh<T>&, FaceImage);                                       \
    template void antialias(const SilhouettePairs&, int, int, int, const T*, T*);                                   \
    template void antialias_backward(const SeenMesh<T>&, const SilhouettePairs&, int, int, int, const T*, const T*, \
                                     T*, T*);
MILO_INSTANTIATE(float)
MILO_INSTANTIATE(double)
#undef MILO_INSTANTIATE

}  // namespace milo
