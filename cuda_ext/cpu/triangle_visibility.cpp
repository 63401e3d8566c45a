// SPDX-License-Identifier: Apache-2.0
// Which face each pixel sees: a buffer of 64-bit words (depth bits, face id) that only ever shrink.  The order of words
// is total, so the result depends neither on the order of faces in time nor on threads.  Spec: rasterization.md, 7.4.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

#include "parallel.h"
#include "triangles.h"

namespace milo {
namespace {

constexpr uint64_t kEmpty = ~uint64_t(0);
constexpr int64_t kLargeBox = 4096;   // pixels; faces with a larger bounding box are shared among threads by rows
constexpr int kNarrowBox = 8;         // pixels; rows up to this wide are tested pixel by pixel
constexpr int kBatch = 512;           // faces
constexpr int kAhead = 24;            // faces by which vertices are fetched early

enum Outside : uint32_t { kNear = 1, kLeft = 2, kRight = 4, kAbove = 8, kBelow = 16, kNotFinite = 32 };

struct ScreenVertex {
    ScreenPoint p;
    float inv_z;
    uint32_t outside;
};

struct ScreenFace {
    ScreenPoint p[3];
    float inv_z[3];
    int32_t id;
};

struct Box {
    int left, right, top, bottom;   // inclusive pixels
    bool empty() const { return (left > right) | (top > bottom); }
    int64_t pixels() const { return int64_t(right - left + 1) * (bottom - top + 1); }
};

// Homogeneous pixel coordinates: (x, y) / z are columns and rows with centres at integers.
Vec3<double> homogeneous(const Pinhole<double>& lens, Vec3<double> v) {
    return {lens.fx * v.x + (lens.cx - 0.5) * v.z, lens.fy * v.y + (lens.cy - 0.5) * v.z, v.z};
}

// The half-spaces, in homogeneous pixels, out of which a vertex cannot be projected: the near plane and a wide frame.
double inside_by(Vec3<double> h, double near, int plane) {
    switch (plane) {
        case 0: return h.z - near;
        case 1: return h.x + kGuard * h.z;
        case 2: return kGuard * h.z - h.x;
        case 3: return h.y + kGuard * h.z;
        default: return kGuard * h.z - h.y;
    }
}
constexpr int kPlanes = 5;

ScreenVertex project(Vec3<double> h, double near) {
    ScreenVertex s{};
    for (int plane = 0; plane < kPlanes; ++plane) s.outside |= uint32_t(inside_by(h, near, plane) < 0) << plane;
    const double sum = h.x + h.y + h.z;
    if (!(sum - sum == 0)) s.outside = kNotFinite;
    if (!s.outside) {
        const double inv_z = 1 / h.z;
        s.p = {snap(h.x * inv_z), snap(h.y * inv_z)};
        s.inv_z = static_cast<float>(inv_z);
    }
    return s;
}

void prefetch(const void* address) {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(address);
#else
    (void)address;
#endif
}

int ceil_to_pixel(int subpixels) { return (subpixels + kSubpixels - 1) >> kSubpixelBits; }
int floor_to_pixel(int subpixels) { return subpixels >> kSubpixelBits; }
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

    // Pixels whose centre may lie in the face.
    Box box(const ScreenPoint p[3]) const {
        return {std::max(0, ceil_to_pixel(std::min({p[0].x, p[1].x, p[2].x}))),
                std::min(width_ - 1, floor_to_pixel(std::max({p[0].x, p[1].x, p[2].x}))),
                std::max(0, ceil_to_pixel(std::min({p[0].y, p[1].y, p[2].y}))),
                std::min(height_ - 1, floor_to_pixel(std::max({p[0].y, p[1].y, p[2].y})))};
    }

    void draw(const ScreenFace& face, Box box) {
        const int64_t area = edge_function(face.p[0], face.p[1], face.p[2]);
        if (area == 0) return;
        const int64_t sign = area < 0 ? -1 : 1;   // both sides of a face are visible
        const double share = 1 / double(area * sign);
        const ScreenPoint start{box.left * kSubpixels, box.top * kSubpixels};
        Edge edge[3];
        double inv_z[3];
        for (int k = 0; k < 3; ++k) {
            const ScreenPoint a = face.p[(k + 1) % 3], b = face.p[(k + 2) % 3];
            edge[k].value = sign * edge_function(a, b, start);
            edge[k].per_column = -sign * (b.y - a.y) * kSubpixels;
            edge[k].per_row = sign * (b.x - a.x) * kSubpixels;
            edge[k].smallest = (sign > 0 ? owns_its_points(a, b) : owns_its_points(b, a)) ? 0 : 1;
            inv_z[k] = share * face.inv_z[k];
        }
        for (int row = box.top; row <= box.bottom; ++row) {
            int64_t first = 0, last = box.right - box.left;
            if (last >= kNarrowBox)
                for (const Edge& e : edge) e.narrow(first, last);
            std::atomic<uint64_t>* words = words_.get() + int64_t(row) * width_ + box.left;
            for (int64_t i = first; i <= last; ++i) {
                const int64_t e0 = edge[0].at(i), e1 = edge[1].at(i), e2 = edge[2].at(i);
                if (((e0 - edge[0].smallest) | (e1 - edge[1].smallest) | (e2 - edge[2].smallest)) < 0) continue;
                put(words[i], 1 / (double(e0) * inv_z[0] + double(e1) * inv_z[1] + double(e2) * inv_z[2]), face.id);
            }
            for (Edge& e : edge) e.value += e.per_row;
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
    struct Edge {
        int64_t value, per_column, per_row, smallest;

        int64_t at(int64_t i) const { return value + i * per_column; }
        void narrow(int64_t& first, int64_t& last) const {   // columns of this row inside the edge
            if (per_column > 0) first = std::max(first, -floor_div(value - smallest, per_column));
            else if (per_column < 0) last = std::min(last, floor_div(value - smallest, -per_column));
            else if (value < smallest) last = -1;
        }
    };

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

// The part of a face inside all half-spaces, as a convex polygon.  Each cut goes from the inner to the outer end of an
// edge, so the two faces at an edge cut it at the same point.
int clip(const Triangle<double>& face, double near, Vec3<double> polygon[3 + kPlanes]) {
    Vec3<double> other[3 + kPlanes];
    int count = 3;
    std::copy(face.v, face.v + 3, polygon);
    for (int plane = 0; plane < kPlanes && count; ++plane) {
        int kept = 0;
        for (int k = 0; k < count; ++k) {
            const Vec3<double> a = polygon[k], b = polygon[(k + 1) % count];
            const double da = inside_by(a, near, plane), db = inside_by(b, near, plane);
            if (da >= 0) other[kept++] = a;
            if ((da >= 0) != (db >= 0))
                other[kept++] = da >= 0 ? a + (da / (da - db)) * (b - a) : b + (db / (db - da)) * (a - b);
        }
        count = kept;
        std::copy(other, other + count, polygon);
    }
    return count;
}

// True if the whole face lies beyond one side of the image, or before the near plane.
bool misses_image(const Triangle<double>& t, double near, int height, int width) {
    bool near_out = true, left = true, right = true, above = true, below = true;
    for (const Vec3<double>& h : t.v) {
        near_out &= h.z < near;
        left &= h.x < 0;
        right &= h.x > (width - 1) * h.z;
        above &= h.y < 0;
        below &= h.y > (height - 1) * h.z;
    }
    return near_out || left || right || above || below;
}

// Calls use(part) for the triangles that a face leaves inside all half-spaces: a fan around the first corner.
template <class T, class Use>
void each_visible_part(const SeenMesh<T>& mesh, int32_t id, double near, int height, int width, const Use& use) {
    Triangle<double> face = mesh.triangle(mesh.faces + 3 * int64_t(id));
    for (auto& p : face.v) p = homogeneous(mesh.lens, p);
    if (misses_image(face, near, height, width)) return;
    Vec3<double> polygon[3 + kPlanes];
    const int count = clip(face, near, polygon);
    ScreenFace part{{}, {}, id};
    for (int k = 0; k < count; ++k) {
        const int slot = std::min(k, 2);
        if (k > 2) part.p[1] = part.p[2], part.inv_z[1] = part.inv_z[2];
        const double inv_z = 1 / polygon[k].z;
        part.p[slot] = {snap(polygon[k].x * inv_z), snap(polygon[k].y * inv_z)};
        part.inv_z[slot] = static_cast<float>(inv_z);
        if (k >= 2) use(part);
    }
}

}  // namespace

template <class T>
void visibility(const SeenMesh<T>& mesh, int height, int width, double near, double far, int32_t* face_id) {
    DepthBuffer buffer(height, width, far);
    std::unique_ptr<ScreenVertex[]> screen(new ScreenVertex[mesh.num_verts]);
    parallel_for(mesh.num_verts, 4096, [&](int64_t begin, int64_t end, int) {
        for (int64_t v = begin; v < end; ++v)
            screen[v] = project(homogeneous(mesh.lens, mesh.pose(mesh.world(int32_t(v)))), near);
    });

    std::vector<std::vector<ScreenFace>> large(num_threads());
    parallel_for(mesh.num_faces, kBatch, [&](int64_t begin, int64_t end, int thread) {
        // First keep the faces whose box holds a pixel centre, without branches, so that the loads of vertices overlap.
        ScreenFace some[kBatch + 1];
        Box boxes[kBatch + 1];
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
                each_visible_part(mesh, int32_t(f), near, height, width, keep);
            }
        }
        draw();
    });

    parallel_for(num_bands(height), 1, [&](int64_t begin, int64_t end, int) {
        const int top = int(begin) * kBandRows, bottom = std::min(int(end) * kBandRows, height) - 1;
        for (const auto& faces : large)
            for (const ScreenFace& face : faces) {
                Box box = buffer.box(face.p);
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
