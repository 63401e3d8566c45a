// SPDX-License-Identifier: Apache-2.0
// Which face each pixel sees: a buffer of 64-bit words (depth bits, face id) that only ever shrink, so the result does not
// depend on the order of threads.  A thread draws a small face; others are queued: those over kSmallBox pixels, and those
// that must be clipped, for a warp each, and of those over kMediumBox the rows are shared among warps.
// Spec: rasterization.md, 7.4.
#include "coverage.h"
#include "mesh.cuh"

using namespace milo;

namespace {

using Word = unsigned long long;

constexpr long long kSmallBox = 64, kMediumBox = 4096;   // pixels
constexpr int kSlices = 32;                               // of the rows of a face over kMediumBox, interleaved

struct Target {
    Word* words;
    int height, width;
    double far;

    __device__ void put(int column, int row, double z, int id) const {
        if (z > far) return;
        const Word mine = static_cast<Word>(__float_as_uint(static_cast<float>(z))) << 32 | static_cast<unsigned>(id);
        atomicMin(words + static_cast<long long>(row) * width + column, mine);   // nobody waits for what was there
    }
    // One thread draws a box of up to kSmallBox pixels: first which it covers, then their depth, so that threads with
    // other faces seldom wait for a depth that they need not.
    __device__ void draw(const ScreenFace& face, PixelBox box) const {
        const FaceCover cover(face, box.left, box.top);
        if (cover.empty) return;
        const int columns = box.right - box.left + 1, rows = box.bottom - box.top + 1;
        Word covered = 0, bit = 1;
        long long start[3];
        for (int k = 0; k < 3; ++k) start[k] = cover.edge[k].value - cover.edge[k].smallest;
        for (int row = 0; row < rows; ++row) {
            long long e0 = start[0], e1 = start[1], e2 = start[2];
            for (int column = 0; column < columns; ++column) {
                if ((e0 | e1 | e2) >= 0) covered |= bit;
                bit <<= 1;
                e0 += cover.edge[0].per_column, e1 += cover.edge[1].per_column, e2 += cover.edge[2].per_column;
            }
            for (int k = 0; k < 3; ++k) start[k] += cover.edge[k].per_row;
        }
        for (; covered; covered &= covered - 1) {
            const int k = __ffsll(static_cast<long long>(covered)) - 1, row = k / columns, column = k % columns;
            put(box.left + column, box.top + row, cover.further_down(row).depth(column), face.id);
        }
    }
    // A warp draws rows first, first + step, ... of a box.
    __device__ void draw_by_warp(const ScreenFace& face, PixelBox box, int first, int step) const {
        const FaceCover cover(face, box.left, box.top);
        if (cover.empty) return;
        const int columns = box.right - box.left + 1, rows = (box.bottom - box.top - first + step) / step;
        for (int k = threadIdx.x % 32; k < rows * columns; k += 32) {
            const int row = first + k / columns * step, column = k % columns;
            double z;
            if (cover.further_down(row).covers(column, z)) put(box.left + column, box.top + row, z, face.id);
        }
    }
};

// The faces that threads leave to warps.  Indices from the front: up to kMediumBox; from the back: larger.
struct Queue {
    int *faces, *counts, capacity;

    __device__ void push(int face, bool large) const {
        const int place = atomicAdd(counts + large, 1);
        faces[large ? capacity - 1 - place : place] = face;
    }
};

struct Corners {
    ScreenVertex v[3];

    __device__ Corners(const ScreenVertex* screen, const int index[3]) {
        for (int k = 0; k < 3; ++k) v[k] = screen[index[k]];
    }
    __device__ bool whole() const { return !(v[0].outside | v[1].outside | v[2].outside); }
    __device__ bool hidden() const {
        return (v[0].outside & v[1].outside & v[2].outside) || ((v[0].outside | v[1].outside | v[2].outside) & kNotFinite);
    }
    __device__ ScreenFace face(int id) const {
        return {{v[0].p, v[1].p, v[2].p}, {v[0].inv_z, v[1].inv_z, v[2].inv_z}, id};
    }
};

}  // namespace

KERNEL project_vertices(MESH_AND_CAMERA, double near, ScreenVertex* screen) {
    const SeenMesh mesh(verts, faces, num_verts, num_faces, viewmat, K);
    const long long v = thread_index();
    if (v < num_verts) screen[v] = project_vertex(homogeneous(mesh.lens, mesh.pose(mesh.world(v))), near);
}

// queue [F], counts [2]: see Queue.
KERNEL __launch_bounds__(128, 5) draw_small(MESH_AND_CAMERA, const ScreenVertex* screen, double near, double far, int height, int width, Word* words,
                  int* queue, int* counts) {
    const SeenMesh mesh(verts, faces, num_verts, num_faces, viewmat, K);
    const long long f = thread_index();
    int v[3];
    if (f >= num_faces || !mesh.corners(static_cast<int>(f), v)) return;
    const Corners corners(screen, v);
    if (corners.hidden()) return;
    const Queue rest{queue, counts, num_faces};
    if (!corners.whole()) return rest.push(static_cast<int>(f), true);
    const ScreenFace face = corners.face(static_cast<int>(f));
    const PixelBox box = pixel_box(face.p, height, width);
    if (box.empty()) return;
    if (box.pixels() > kSmallBox) return rest.push(static_cast<int>(f), box.pixels() > kMediumBox);
    Target{words, height, width, far}.draw(face, box);
}

KERNEL __launch_bounds__(128, 4) draw_queued(MESH_AND_CAMERA, const ScreenVertex* screen, double near, double far, int height, int width, Word* words,
                   const int* queue, const int* counts) {
    const SeenMesh mesh(verts, faces, num_verts, num_faces, viewmat, K);
    const Target target{words, height, width, far};
    const long long large = static_cast<long long>(counts[1]) * kSlices, items = large + counts[0];
    const long long warps = static_cast<long long>(gridDim.x) * blockDim.x / 32;
    for (long long item = thread_index() / 32; item < items; item += warps) {
        const bool sliced = item < large;
        const int f = queue[sliced ? num_faces - 1 - item / kSlices : item - large];
        const int first = sliced ? static_cast<int>(item % kSlices) : 0, step = sliced ? kSlices : 1;
        const auto draw = [&](const ScreenFace& part) {
            const PixelBox box = pixel_box(part.p, height, width);
            if (!box.empty()) target.draw_by_warp(part, box, first, step);
        };
        int v[3];
        mesh.corners(f, v);
        const Corners corners(screen, v);
        if (corners.whole())
            draw(corners.face(f));
        else
            each_clipped_part(mesh.lens, mesh.triangle(v), f, near, height, width, draw);
    }
}

KERNEL read_faces(const Word* words, long long pixels, int* face_id) {
    const long long p = thread_index();
    if (p < pixels) face_id[p] = words[p] == ~Word(0) ? -1 : static_cast<int>(words[p] & 0xffffffffu);
}
