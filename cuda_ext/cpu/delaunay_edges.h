// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace milo {

struct BoundaryFacet {
    int32_t vertex[3];
    int32_t outside;   // facet of the tetrahedron beyond the cavity
};

// Finds the facet on the other side of each edge of a cavity's boundary.
class EdgeTable {
public:
    explicit EdgeTable(size_t num_vertices)
        : local_(static_cast<int32_t*>(std::calloc(num_vertices + 1, sizeof(int32_t)))) {
        if (!local_) throw std::bad_alloc();
    }

    // Calls link(facet_of_edge, facet_of_opposite_edge) for each directed edge.  New tetrahedron k of the boundary has
    // vertices (p, boundary[k].vertex) and the name names[k].
    template <class Link>
    void link(const std::vector<BoundaryFacet>& boundary, const std::vector<int32_t>& names, Link&& link) {
        if (number_vertices(boundary)) {
            each_edge(boundary, names, [&](int32_t a, int32_t b, int32_t facet) {
                table_[local_[a + 1] * kSmall + local_[b + 1]] = facet;
            });
            each_edge(boundary, names, [&](int32_t a, int32_t b, int32_t facet) {
                link(facet, table_[local_[b + 1] * kSmall + local_[a + 1]]);
            });
        } else {
            clear(boundary.size() * 3);
            each_edge(boundary, names, [&](int32_t a, int32_t b, int32_t facet) { slot(a, b).facet = facet; });
            each_edge(boundary, names, [&](int32_t a, int32_t b, int32_t facet) { link(facet, slot(b, a).facet); });
        }
    }

private:
    // A cavity of up to this many vertices (nearly all are) uses a square table, a larger one a hash.
    static constexpr int32_t kSmall = 72;

    struct Slot {
        uint64_t edge;
        int32_t facet;
    };
    static constexpr uint64_t kFree = ~uint64_t{0};

    template <class Visit>
    static void each_edge(const std::vector<BoundaryFacet>& boundary, const std::vector<int32_t>& names, Visit&& visit) {
        for (size_t k = 0; k < boundary.size(); ++k) {
            const auto [a, b, c] = boundary[k].vertex;
            visit(b, c, 4 * names[k] + 1);
            visit(c, a, 4 * names[k] + 2);
            visit(a, b, 4 * names[k] + 3);
        }
    }
    // Number the vertices 0, 1, ...; false if there are too many.  local_ needs no clearing: an entry counts only if the
    // vertex it points at is the right one.
    bool number_vertices(const std::vector<BoundaryFacet>& boundary) {
        if (boundary.size() > 2 * kSmall - 4) return false;   // Euler: facets = 2 vertices - 4
        int32_t count = 0;
        for (const BoundaryFacet& facet : boundary)
            for (const int32_t v : facet.vertex) {
                int32_t& local = local_[v + 1];
                if (local >= count || numbered_[local] != v) {
                    local = count;
                    numbered_[count++] = v;
                }
            }
        return true;
    }
    void clear(size_t edges) {
        size_t capacity = 1024;
        while (capacity < 2 * edges) capacity *= 2;
        slots_.assign(capacity, Slot{kFree, 0});
    }
    Slot& slot(int32_t a, int32_t b) {
        const uint64_t edge = static_cast<uint64_t>(static_cast<uint32_t>(a)) << 32 | static_cast<uint32_t>(b);
        size_t at = edge * 0x9e3779b97f4a7c15u >> 20;
        for (;; ++at) {
            Slot& s = slots_[at & (slots_.size() - 1)];
            if (s.edge == edge) return s;
            if (s.edge == kFree) {
                s.edge = edge;
                return s;
            }
        }
    }

    struct Free {
        void operator()(int32_t* p) const { std::free(p); }
    };
    // By vertex + 1, so that infinity has one too.  Zero as it comes: a worker touches no more than its part of the pages.
    std::unique_ptr<int32_t[], Free> local_;
    int32_t numbered_[kSmall];
    int32_t table_[kSmall * kSmall];
    std::vector<Slot> slots_;
};

}  // namespace milo
