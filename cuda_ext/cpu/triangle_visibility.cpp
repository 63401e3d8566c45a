// SPDX-License-Identifier: Apache-2.0
// Which face each pixel sees: a buffer of 64-bit words (depth bits, face id) that only ever shrink.  The order of words
// is total, so the result depends neither on the order of faces in time nor on threads.  Spec: rasterization.md, 7.4.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

#include "coverage.h"
#include "parallel.h"
#include "triangles.h"

namespace milo {
namespace {

constexpr uint64_t kEmpty = ~uint64_t(0);
constexpr int64_t kLargeBox = 4096;   // pixels; faces with a larger bounding box are shared among threads by rows
constexpr int kNarrowBox = 8;         // pixels; rows up to this wide are tested pixel by pixel
constexpr int kBatch = 512;           // faces
constexpr int kAhead = 24;            // faces by which vertices are fetched early

void prefetch(const void* address) {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(address);
#else
    (void)address;
#endif
}

int64_t floor_div(int64_t a, int64_t b) {   // b > 0
    const int64_t q = a / b;
    return q - (a % b < 0);
}

class DepthBuffer {
public:
    DepthBuffer(int height, int width, double far)
        : height_(height), width_(width), far_(far), words_(new std::atomic<uint64_t>[size_t(height) * width]) {
        parallel_for(size(), 1 << 16, [&](int64_t begin, int64_t end, int) {
            for (int64_t i = begin; i < end; ++i) words_[i].store(kEmpty, std::memory_order_relaxed);
        });
    }

    PixelBox box(const ScreenPoint p[3]) const { return pixel_box(p, height_, width_); }

    void draw(const ScreenFace& face, PixelBox box) {
        FaceCover cover(face, box.left, box.top);
        if (cover.empty) return;
        for (int row = box.top; row <= box.bottom; ++row) {
            int64_t first = 0, last = box.right - box.left;
            if (last >= kNarrowBox)
                for (const EdgeRow& e : cover.edge) narrow(e, first, last);
            std::atomic<uint64_t>* words = words_.get() + int64_t(row) * width_ + box.left;
            for (int64_t i = first; i <= last; ++i) {
                double z;
                if (cover.covers(i, z)) put(words[i], z, face.id);
            }
            cover.go_down(1);
        }
    }

    void read(int32_t* face_id) const {
        parallel_for(size(), 1 << 16, [&](int64_t begin, int64_t end, int) {
            for (int64_t i = begin; i < end; ++i) {
                const uint64_t word = words_[i].load(std::memory_order_relaxed);
                face_id[i] = word == kEmpty ? -1 : static_cast<int32_t>(word & 0xffffffffu);
            }
        });
    }

private:
    static void narrow(const EdgeRow& e, int64_t& first, int64_t& last) {   // columns of this row inside the edge
        if (e.per_column > 0) first = std::max<int64_t>(first, -floor_div(e.value - e.smallest, e.per_column));
        else if (e.per_column < 0) last = std::min<int64_t>(last, floor_div(e.value - e.smallest, -e.per_column));
        else if (e.value < e.smallest) last = -1;
    }

    int64_t size() const { return int64_t(height_) * width_; }

    void put(std::atomic<uint64_t>& word, double z, int32_t id) {
        if (z > far_) return;
        const float nearness = static_cast<float>(z);   // z > 0: its bits are in the order of its values
        uint32_t bits;
        std::memcpy(&bits, &nearness, sizeof bits);
        const uint64_t mine = uint64_t(bits) << 32 | uint32_t(id);
        uint64_t now = word.load(std::memory_order_relaxed);
        while (mine < now && !word.compare_exchange_weak(now, mine, std::memory_order_relaxed)) {
        }
    }

    int height_, width_;
    double far_;
    std::unique_ptr<std::atomic<uint64_t>[]> words_;
};

}  // namespace

template <class T>
void visibility(const SeenMesh<T>& mesh, int height, int width, double near, double far, int32_t* face_id) {
    DepthBuffer buffer(height, width, far);
    std::unique_ptr<ScreenVertex[]> screen(new ScreenVertex[mesh.num_verts]);
    parallel_for(mesh.num_verts, 4096, [&](int64_t begin, int64_t end, int) {
        for (int64_t v = begin; v < end; ++v)
            screen[v] = project_vertex(homogeneous(mesh.lens, mesh.pose(mesh.world(int32_t(v)))), near);
    });

    std::vector<std::vector<ScreenFace>> large(num_threads());
    parallel_for(mesh.num_faces, kBatch, [&](int64_t begin, int64_t end, int thread) {
        // First keep the faces whose box holds a pixel centre, without branches, so that the loads of vertices overlap.
        ScreenFace some[kBatch + 1];
        PixelBox boxes[kBatch + 1];
        int kept = 0;
        const auto keep = [&](const ScreenFace& face) {
            some[kept] = face;
            boxes[kept] = buffer.box(face.p);
            kept += !boxes[kept].empty();
        };
        const auto draw = [&] {
            for (int k = 0; k < kept; ++k) {
                if (boxes[k].pixels() > kLargeBox) large[thread].push_back(some[k]);
                else buffer.draw(some[k], boxes[k]);
            }
            kept = 0;
        };
        for (int64_t f = begin; f < end; ++f) {
            const int32_t* v = mesh.faces + 3 * f;
            for (int k = 0; k < 3; ++k) mesh.check_vertex(v[k]);
            if (f + kAhead < end)
                for (int k = 0; k < 3; ++k) prefetch(screen.get() + uint32_t(v[3 * kAhead + k]));
            const ScreenVertex &a = screen[v[0]], &b = screen[v[1]], &c = screen[v[2]];
            if (!(a.outside | b.outside | c.outside)) {
                keep({{a.p, b.p, c.p}, {a.inv_z, b.inv_z, c.inv_z}, int32_t(f)});
            } else if (!(a.outside & b.outside & c.outside) && !((a.outside | b.outside | c.outside) & kNotFinite)) {
                draw();
                each_clipped_part(mesh.lens, mesh.triangle(v), int32_t(f), near, height, width, keep);
            }
        }
        draw();
    });

    parallel_for(num_bands(height), 1, [&](int64_t begin, int64_t end, int) {
        const int top = int(begin) * kBandRows, bottom = std::min(int(end) * kBandRows, height) - 1;
        for (const auto& faces : large)
            for (const ScreenFace& face : faces) {
                PixelBox box = buffer.box(face.p);
                box.top = std::max(box.top, top);
                box.bottom = std::min(box.bottom, bottom);
                if (!box.empty()) buffer.draw(face, box);
            }
    });
    buffer.read(face_id);
}

template void visibility(const SeenMesh<float>&, int, int, double, double, int32_t*);
template void visibility(const SeenMesh<double>&, int, int, double, double, int32_t*);

}  // namespace milo
