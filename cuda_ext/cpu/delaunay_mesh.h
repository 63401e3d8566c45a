// SPDX-License-Identifier: Apache-2.0
// The tetrahedra of a triangulation that is being built, and which worker has which.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "buffer.h"
#include "predicates.h"

namespace milo {

constexpr int32_t kInfinity = -1;   // the vertex at infinity; always the last of its tetrahedron

// Facet i of a positive tetrahedron, the one without vertex i: (p, facet) is positive for p on vertex i's side.
constexpr int kFacet[4][3] = {{1, 2, 3}, {0, 3, 2}, {0, 1, 3}, {0, 2, 1}};

// A facet is named by 4 * tetrahedron + the number of the vertex opposite.
struct alignas(64) Tet {
    int32_t vertex[4];      // vertex[0] is complemented, thus negative, while the slot is removed from the triangulation
    int32_t neighbour[4];   // the same facet, as seen from the other side
    Point3 centre;          // circumsphere; radius2 is NaN if it is not known well enough to be used as a filter
    double radius2;

    bool removed() const { return vertex[0] < 0; }
};

// Ask for large pages: insertions jump about in more memory than the translation cache covers with small ones.
template <class T>
void prefer_large_pages(Buffer<T>& buffer) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    constexpr uintptr_t kPage = uintptr_t{1} << 16;   // a multiple of any page size
    const auto begin = (reinterpret_cast<uintptr_t>(buffer.data()) + kPage - 1) & ~(kPage - 1);
    const auto end = reinterpret_cast<uintptr_t>(buffer.data() + buffer.size()) & ~(kPage - 1);
    if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);   // a hint: it may fail
#else
    (void)buffer;
#endif
}

// Slots for tetrahedra, each with an owner: 0 or the number of the one worker that may read and write it.
class TetMesh {
public:
    explicit TetMesh(int64_t room) { resize(room); }

    Tet& operator[](int32_t t) { return tets_[t]; }
    const Tet& operator[](int32_t t) const { return tets_[t]; }
    std::atomic<uint8_t>& owner(int32_t t) { return owners_[t]; }
    int32_t used() const { return used_.load(std::memory_order_relaxed); }

    // The first of `count` new slots, marked as removed and owned; -1 if there is no room for so many.
    int32_t reserve(int32_t count, uint8_t owner) {
        int32_t first = used();
        do {
            if (first + int64_t{count} > tets_.size()) return -1;
        } while (!used_.compare_exchange_weak(first, first + count, std::memory_order_relaxed));
        for (int32_t t = first; t < first + count; ++t) {
            owners_[t].store(owner, std::memory_order_relaxed);
            tets_[t].vertex[0] = ~0;
        }
        return first;
    }

    // Room for twice as many; for one thread alone.
    void grow() { resize(2 * tets_.size()); }

    // Work has ended early: nobody must wait for anybody any more.
    void abandon() { abandoned_.store(true, std::memory_order_relaxed); }
    bool abandoned() const { return abandoned_.load(std::memory_order_relaxed); }

private:
    void resize(int64_t room) {
        constexpr int64_t kMost = int64_t{1} << 29;   // facets have names below 2^31
        if (tets_.size() >= kMost) throw std::length_error("Delaunay: more than 2^29 tetrahedra");
        Buffer<Tet> tets(std::min(room, kMost));
        prefer_large_pages(tets);
        std::unique_ptr<std::atomic<uint8_t>[]> owners(new std::atomic<uint8_t>[tets.size()]());
        for (int32_t t = 0; t < used(); ++t) {
            tets[t] = tets_[t];
            owners[t].store(owners_[t].load(std::memory_order_relaxed), std::memory_order_relaxed);
        }
        tets_ = std::move(tets), owners_ = std::move(owners);
    }

    Buffer<Tet> tets_;
    std::unique_ptr<std::atomic<uint8_t>[]> owners_;
    std::atomic<int32_t> used_{0};
    std::atomic<bool> abandoned_{false};
};

}  // namespace milo
