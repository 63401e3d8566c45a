// SPDX-License-Identifier: Apache-2.0
// Finding the pixel pairs at silhouettes of a mesh, blending them, and the way back.  Spec: rasterization.md, 7.3.
//
// Pairs are appended to buffers with room for all pairs of the image, so that nothing waits to learn their number; kernels
// over pairs walk in strides up to the count that stands in memory.  An edge crosses many pixels and is looked up once.
#include "mesh.cuh"
#include "silhouette.h"

using namespace milo;

namespace {

// A hash table of edges, keys low << 32 | high.  Its size is a power of two, more than the edges that can be in it.
using Key = unsigned long long;
constexpr Key kNoEdge = ~Key(0);

__device__ __forceinline__ Key key_of(int a, int b) { return static_cast<Key>(min(a, b)) << 32 | static_cast<unsigned>(max(a, b)); }
__device__ __forceinline__ int place_of(Key key, int size) {
    return static_cast<int>((key * 0x9e3779b97f4a7c15ull) >> 32) & (size - 1);
}

// The place of the edge, which is put there if it is new.
__device__ int insert(Key* table, int size, Key key) {
    for (int place = place_of(key, size);; place = (place + 1) & (size - 1)) {
        const Key found = atomicCAS(table + place, kNoEdge, key);
        if (found == kNoEdge || found == key) return place;
    }
}

// The place of the edge, or -1.
__device__ int find(const Key* table, int size, Key key) {
    for (int place = place_of(key, size);; place = (place + 1) & (size - 1)) {
        if (table[place] == key) return place;
        if (table[place] == kNoEdge) return -1;
    }
}

struct PixelPair {
    Step step;
    long long a, b;   // flat indices
    Blend<Scalar> move;

    __device__ PixelPair(int way, Scalar s, int width)
        : step(step_of(way & 3)), a(way >> 2), b(a + static_cast<long long>(step.rows()) * width + step.columns()),
          move(blend(s)) {}
    __device__ long long changed() const { return move.changes_b ? b : a; }
    __device__ long long other() const { return move.changes_b ? a : b; }
};

// The corner of a face that is not on the edge, -1 if the edge is none of its own.
__device__ __forceinline__ int corner_opposite(const int v[3], int a, int b) {
    const bool on[3] = {v[0] == a || v[0] == b, v[1] == a || v[1] == b, v[2] == a || v[2] == b};
    if (on[0] + on[1] + on[2] != 2) return -1;
    return on[0] ? (on[1] ? v[2] : v[1]) : v[0];
}

// True if a face seen around the pixel continues the surface of the pixel's own across its edge a, b: most edges are
// settled here.  normal: of the plane through the eye and the edge, towards the face; camera frame.
__device__ bool continued_nearby(const SeenMesh& mesh, const int4* seen, int height, int width, int column, int row, int a,
                                 int b, Vec3<double> normal) {
    for (int y = max(row - 1, 0); y <= min(row + 1, height - 1); ++y)
        for (int x = max(column - 1, 0); x <= min(column + 1, width - 1); ++x) {
            const int4 other = seen[static_cast<long long>(y) * width + x];
            const int v[3] = {other.x, other.y, other.z};
            const int corner = corner_opposite(v, a, b);
            if (corner >= 0 && dot(normal, mesh.pose(mesh.world(corner))) < 0) return true;
        }
    return false;
}

// A set of vertices.
__device__ __forceinline__ void include(unsigned* bits, int v) { atomicOr(bits + (v >> 5), 1u << (v & 31)); }
__device__ __forceinline__ bool has(const unsigned* bits, int v) { return bits[v >> 5] >> (v & 31) & 1; }

__device__ __forceinline__ long long stride() { return static_cast<long long>(gridDim.x) * blockDim.x; }

}  // namespace

// A pair is two pixels whose way from A to B leaves A's face across an edge:
//   way [room]: 4 pixel + direction, of A, to B;  edge [room]: its place in the table;  s [room]: in [0, 1];
//   table [size]: edges;  sides [size]: bits, which sides of the edge have faces (3: no silhouette);  count [1]: of pairs.
#define PAIRS int *way, int *edge, Scalar *s, Key *table, int *sides, int size, int *count

// z depth at each pixel, infinite where there is nothing, and the corners of the face it shows, -1 where there is none.
KERNEL pixel_depths(MESH_AND_CAMERA, const int* face_id, int height, int width, double* depth, int4* seen) {
    const SeenMesh mesh(verts, faces, num_verts, num_faces, viewmat, K);
    const long long p = thread_index();
    if (p >= static_cast<long long>(height) * width) return;
    int corners[3];
    double z = __longlong_as_double(0x7ff0000000000000ll);
    const bool covered = mesh.corners(face_id[p], corners);
    seen[p] = covered ? make_int4(corners[0], corners[1], corners[2], 0) : make_int4(-1, -1, -1, 0);
    if (covered) {
        const Triangle<double> t = mesh.triangle(corners);
        z = hit(t, pixel_ray(mesh.lens, static_cast<double>(p % width), static_cast<double>(p / width))).depth(t);
    }
    depth[p] = z;
}

// lows, highs: bit sets of the lower and higher vertices of the edges found.
KERNEL __launch_bounds__(128, 5) find_pairs(MESH_AND_CAMERA, const int* face_id, int height, int width,
                                            const double* depth, const int4* seen, PAIRS, unsigned* lows,
                                            unsigned* highs) {
    const SeenMesh mesh(verts, faces, num_verts, num_faces, viewmat, K);
    const long long p = thread_index();
    if (p >= static_cast<long long>(height) * width) return;
    const int id = face_id[p], column = static_cast<int>(p % width), row = static_cast<int>(p / width);
    int corners[3];
    bool set_up = false;
    Vec2<double> offset[3];
    Triangle<double> t;
    for (int direction = 0; direction < 4; ++direction) {
        const Step step = step_of(direction);
        const int other_column = column + step.columns(), other_row = row + step.rows();
        if (other_column < 0 || other_column >= width || other_row < 0 || other_row >= height) continue;
        const long long q = static_cast<long long>(other_row) * width + other_column;
        const int other_id = face_id[q];
        if (other_id == id || depth[p] > depth[q] || (depth[p] == depth[q] && id > other_id)) continue;
        if (!set_up) {
            if (seen[p].x < 0) return;
            corners[0] = seen[p].x, corners[1] = seen[p].y, corners[2] = seen[p].z;
            t = mesh.triangle(corners);
            if (!(t.v[0].z > 0 && t.v[1].z > 0 && t.v[2].z > 0)) return;
            for (int k = 0; k < 3; ++k) offset[k] = screen_offset(mesh.lens, t.v[k], column, row);
            set_up = true;
        }
        Vec2<double> corner[3];
        for (int k = 0; k < 3; ++k) corner[k] = step.aligned(offset[k]);
        const Crossing<double> out = way_out(corner, step);
        if (out.edge < 0) continue;
        const int second = (out.edge + 1) % 3, third = (out.edge + 2) % 3;
        const int a = corners[out.edge], b = corners[second];
        Vec3<double> normal = cross(t.v[out.edge], t.v[second]);
        if (dot(normal, t.v[third]) < 0) normal = -normal;
        if (continued_nearby(mesh, seen, height, width, column, row, a, b, normal)) continue;
        const int i = atomicAdd(count, 1);
        way[i] = static_cast<int>(4 * p + direction);
        s[i] = static_cast<Scalar>(out.s);
        const int place = insert(table, size, key_of(a, b));
        edge[i] = place;
        sides[place] = 0;
        include(lows, min(a, b));
        include(highs, max(a, b));
    }
}

// Do faces lie on both sides of an edge in the image?  One thread per face of the mesh, also the hidden ones.
KERNEL look_beyond(MESH_AND_CAMERA, const unsigned* lows, const unsigned* highs, const Key* table, int* sides, int size) {
    const SeenMesh mesh(verts, faces, num_verts, num_faces, viewmat, K);
    const long long f = thread_index();
    int v[3];
    if (f >= num_faces || !mesh.corners(static_cast<int>(f), v)) return;
    for (int k = 0; k < 3; ++k) {
        const int a = v[k], b = v[(k + 1) % 3], low = min(a, b), high = max(a, b);
        if (!has(lows, low) || !has(highs, high)) continue;
        const int place = find(table, size, key_of(low, high));
        if (place < 0) continue;
        const Vec3<double> eye = -mesh.pose.rotate_back(mesh.pose.shift);
        const Vec3<double> p = mesh.world(low);   // the side of the plane through the eye and the edge
        const double side = dot(cross(p - eye, mesh.world(high) - eye), mesh.world(v[(k + 2) % 3]) - p);
        if (side != 0) atomicOr(sides + place, side > 0 ? 1 : 2);
    }
}

// out [C, H, W] holds `in` already.
KERNEL antialias(PAIRS, int height, int width, int channels, const Scalar* in, Scalar* out) {
    const long long pixels = static_cast<long long>(height) * width;
    for (long long i = thread_index(); i < *count; i += stride()) {
        if (sides[edge[i]] == 3) continue;
        const PixelPair pair(way[i], s[i], width);
        for (long long c = 0; c < channels * pixels; c += pixels)
            atomicAdd(out + c + pair.changed(), pair.move.amount * (in[c + pair.other()] - in[c + pair.changed()]));
    }
}

// g_in holds g_out already; g_in and g_verts are added to; either may be null.
KERNEL antialias_backward(MESH_AND_CAMERA, PAIRS, int height, int width, int channels, const Scalar* in,
                          const Scalar* g_out, Scalar* g_in, Scalar* g_verts) {
    const SeenMesh mesh(verts, faces, num_verts, num_faces, viewmat, K);
    const long long pixels = static_cast<long long>(height) * width;
    for (long long i = thread_index(); i < *count; i += stride()) {
        if (sides[edge[i]] == 3) continue;
        const PixelPair pair(way[i], s[i], width);
        double g = 0;
        for (long long c = 0; c < channels * pixels; c += pixels) {
            const Scalar here = g_out[c + pair.changed()];
            if (g_in) {
                atomicAdd(g_in + c + pair.changed(), -pair.move.amount * here);
                atomicAdd(g_in + c + pair.other(), pair.move.amount * here);
            }
            g += static_cast<double>(here) * (static_cast<double>(in[c + pair.a]) - static_cast<double>(in[c + pair.b]));
        }
        if (!g_verts || s[i] <= 0 || s[i] >= 1) continue;   // clamped
        const int column = static_cast<int>(pair.a % width), row = static_cast<int>(pair.a / width);
        const Key key = table[edge[i]];
        const int ends[2] = {static_cast<int>(key >> 32), static_cast<int>(key & 0xffffffffu)};
        Vec3<double> v[2];
        Vec2<double> end_point[2], g_end[2] = {};
        for (int k = 0; k < 2; ++k) {
            v[k] = mesh.pose(mesh.world(ends[k]));
            end_point[k] = pair.step.aligned(screen_offset(mesh.lens, v[k], column, row));
        }
        way_out_backward(end_point[0], end_point[1], g, g_end[0], g_end[1]);
        for (int k = 0; k < 2; ++k) {
            const Vec3<double> g_view = screen_backward(mesh.lens, v[k], pair.step.aligned_back(g_end[k]));
            add_gradient(g_verts, ends[k], mesh.pose.rotate_back(g_view));
        }
    }
}
