// SPDX-License-Identifier: Apache-2.0
// Which face each pixel sees: a buffer of 64-bit words (depth bits, face id) that only ever shrink, so the result does not
// depend on the order of threads.  A thread draws a small face; faces over kSmallBox pixels are queued and shared by
// rows among warps.  Spec: rasterization.md, 7.4.
#include "coverage.h"
#include "mesh.cuh"

using namespace milo;

namespace {

using Word = unsigned long long;

constexpr long long kSmallBox = 64;   // pixels
constexpr int kSlices = 8;            // of the rows of a queued face, interleaved

struct Target {
    Word* words;
    int height, width;
    double far;

    __device__ void put(int column, int row, double z, int id) const {
        if (z > far) return;
        const Word mine = static_cast<Word>(__float_as_uint(static_cast<float>(z))) << 32 | static_cast<unsigned>(id);
        Word* word = words + static_cast<long long>(row) * width + column;
        if (mine < *reinterpret_cast<volatile Word*>(word)) atomicMin(word, mine);
    }
    // Of the pixels of a box: columns from first_column on, rows from first_row on, in steps.
    __device__ void draw(const ScreenFace& face, PixelBox box, int first_column, int column_step, int first_row,
                         int row_step) const {
        FaceCover cover(face, box.left, box.top);
        if (cover.empty) return;
        cover.go_down(first_row);
        for (int row = box.top + first_row; row <= box.bottom; row += row_step) {
            for (int i = first_column; i <= box.right - box.left; i += column_step) {
                double z;
                if (cover.covers(i, z)) put(box.left + i, row, z, face.id);
            }
            cover.go_down(row_step);
        }
    }
};

// Calls draw(part) for what the camera can see of a face.
template <class Draw>
__device__ void each_part(const SeenMesh& mesh, const ScreenVertex* screen, int f, double near, const Target& target,
                          const Draw& draw) {
    int v[3];
    if (!mesh.corners(f, v)) return;
    const ScreenVertex a = screen[v[0]], b = screen[v[1]], c = screen[v[2]];
    const unsigned some = a.outside | b.outside | c.outside;
    if (!some)
        draw(ScreenFace{{a.p, b.p, c.p}, {a.inv_z, b.inv_z, c.inv_z}, f});
    else if (!(a.outside & b.outside & c.outside) && !(some & kNotFinite))
        each_clipped_part(mesh.lens, mesh.triangle(v), f, near, target.height, target.width, draw);
}

}  // namespace

KERNEL project_vertices(MESH_AND_CAMERA, double near, ScreenVertex* screen) {
    const SeenMesh mesh(verts, faces, num_verts, num_faces, viewmat, K);
    const long long v = thread_index();
    if (v < num_verts) screen[v] = project_vertex(homogeneous(mesh.lens, mesh.pose(mesh.world(v))), near);
}

// queue [F]: faces with a large part; *queued counts them.
KERNEL draw_small(MESH_AND_CAMERA, const ScreenVertex* screen, double near, double far, int height, int width, Word* words,
                  int* queue, int* queued) {
    const SeenMesh mesh(verts, faces, num_verts, num_faces, viewmat, K);
    const Target target{words, height, width, far};
    const long long f = thread_index();
    if (f >= num_faces) return;
    bool large = false;
    each_part(mesh, screen, static_cast<int>(f), near, target, [&](const ScreenFace& part) {
        const PixelBox box = pixel_box(part.p, height, width);
        if (box.empty()) return;
        if (box.pixels() > kSmallBox)
            large = true;
        else
            target.draw(part, box, 0, 1, 0, 1);
    });
    if (large) queue[atomicAdd(queued, 1)] = static_cast<int>(f);
}

KERNEL draw_large(MESH_AND_CAMERA, const ScreenVertex* screen, double near, double far, int height, int width, Word* words,
                  const int* queue, const int* queued) {
    const SeenMesh mesh(verts, faces, num_verts, num_faces, viewmat, K);
    const Target target{words, height, width, far};
    const long long items = static_cast<long long>(*queued) * kSlices, warps = static_cast<long long>(gridDim.x) * blockDim.x / 32;
    for (long long item = thread_index() / 32; item < items; item += warps) {
        each_part(mesh, screen, queue[item / kSlices], near, target, [&](const ScreenFace& part) {
            const PixelBox box = pixel_box(part.p, height, width);
            if (!box.empty() && box.pixels() > kSmallBox)
                target.draw(part, box, threadIdx.x % 32, 32, static_cast<int>(item % kSlices), kSlices);
        });
    }
}

KERNEL read_faces(const Word* words, long long pixels, int* face_id) {
    const long long p = thread_index();
    if (p < pixels) face_id[p] = words[p] == ~Word(0) ? -1 : static_cast<int>(words[p] & 0xffffffffu);
}
