// SPDX-License-Identifier: Apache-2.0
// 3D Delaunay triangulation, one point at a time (Bowyer 1981, Watson 1981).
//
// The tetrahedra whose circumsphere holds the new point form a cavity; it is emptied and filled with tetrahedra from its
// boundary to the point.  A vertex at infinity closes the hull: a tetrahedron (a, b, c, infinity) stands for the half space
// beyond the hull facet abc.  The cavity's first tetrahedron is found by walking from the last point's.
//
// Cospherical points are told apart by symbolic perturbation: each is lifted by its own infinitesimal, points later in
// lexicographic order by infinitely more (after O. Devillers and M. Teillaud, "Perturbations for Delaunay and weighted
// Delaunay 3D triangulations", 2011).  The triangulation is then unique, whatever the order of the points, and no
// tetrahedron is flat.
#include "delaunay.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "lanes.h"
#include "spatial_sort.h"

namespace milo {
namespace {

constexpr int32_t kInfinity = -1;   // the vertex at infinity; always the last of its tetrahedron
constexpr size_t kMostTets = size_t{1} << 29;

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

// The circumsphere test d2 < radius2 is certain when the two differ by more than this share.  A sphere is used only if
// its rounding errors are certain to stay well below: see set_sphere().
constexpr double kSphereMargin = 1.2e-7;

struct BoundaryFacet {
    int32_t vertex[3];
    int32_t outside;   // facet of the tetrahedron beyond the cavity
};

// Finds the facet on the other side of each edge of a cavity's boundary.
class EdgeTable {
public:
    explicit EdgeTable(size_t num_vertices) : local_(num_vertices + 1, 0) {}

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

    std::vector<int32_t> local_;   // by vertex + 1, so that infinity has one too
    int32_t numbered_[kSmall];
    int32_t table_[kSmall * kSmall];
    std::vector<Slot> slots_;
};

class Triangulation {
public:
    // points: in the order of insertion; the first four span a volume.
    explicit Triangulation(const std::vector<Point3>& points) : points_(points), edges_(points.size()) {
        tets_.reserve(points.size() * 7 + 64);
        start();
    }

    // Insert point v; if it equals a vertex, return that one and change nothing, else return v.
    int32_t insert(int32_t v) {
        const Point3 p = points_[v];
        const int32_t first = locate(p);
        if (first < 0) return -1 - first;
        find_cavity(first, v, p);
        fill_cavity(v, p);
        return v;
    }

    template <class Visit>
    void each_finite(Visit&& visit) const {
        for (const Tet& tet : tets_)
            if (!tet.removed() && tet.vertex[3] != kInfinity) visit(tet.vertex);
    }

private:
    void start() {
        int32_t v[4] = {0, 1, 2, 3};
        if (orient3d(points_[0], points_[1], points_[2], points_[3]) < 0) std::swap(v[0], v[1]);
        tets_.resize(5);
        std::copy(v, v + 4, tets_[0].vertex);
        set_sphere(tets_[0], points_[v[0]]);
        for (int i = 0; i < 4; ++i) {   // beyond facet i: its vertices and infinity
            Tet& tet = tets_[i + 1];
            for (int k = 0; k < 3; ++k) tet.vertex[k] = v[kFacet[i][k]];
            tet.vertex[3] = kInfinity;
            tet.radius2 = std::numeric_limits<double>::quiet_NaN();
        }
        const auto corners = [this](int32_t facet) {
            std::array<int32_t, 3> corners;
            for (int k = 0; k < 3; ++k) corners[k] = tets_[facet >> 2].vertex[kFacet[facet & 3][k]];
            std::sort(corners.begin(), corners.end());
            return corners;
        };
        for (int32_t facet = 0; facet < 20; ++facet)
            for (int32_t other = 0; other < facet; ++other)
                if (corners(facet) == corners(other)) connect(facet, other);
    }
    void connect(int32_t facet, int32_t other) {
        tets_[facet >> 2].neighbour[facet & 3] = other;
        tets_[other >> 2].neighbour[other & 3] = facet;
    }

    // The circumsphere, computed from p, the tetrahedron's first vertex.
    //
    // Error analysis, eps = 2^-53, m = longest edge at p squared, |coordinates| <= 1: the determinant is off by at most
    // 11 eps m^1.5, the numerator by 63 eps m^2, and as sqrt(m) <= 2 r the centre by (74 m^1.5 / |det| + 3) eps r, plus
    // 2 eps (1 + r) for adding p.  With the two conditions below that is less than 1.1e-8 r, so |d2 - radius2| is off
    // by less than 3.3e-8 (d2 + radius2): half of what kSphereMargin allows.
    void set_sphere(Tet& tet, const Point3& p) const {
        constexpr double kFlattest = 1e-6, kSmallest = 1e-7;
        const Point3 u = points_[tet.vertex[1]] - p, v = points_[tet.vertex[2]] - p, w = points_[tet.vertex[3]] - p;
        const Point3 vw = cross(v, w), wu = cross(w, u), uv = cross(u, v);
        const double uu = dot(u, u), vv = dot(v, v), ww = dot(w, w);
        const double det = dot(u, vw), scale = 0.5 / det;
        const Point3 c = scale * (uu * vw + vv * wu + ww * uv);
        const double m = std::max({uu, vv, ww}), radius2 = dot(c, c);
        const bool known = det * det > kFlattest * kFlattest * m * m * m && radius2 > kSmallest * kSmallest;
        tet.centre = p + c;
        tet.radius2 = known ? radius2 : std::numeric_limits<double>::quiet_NaN();
    }

    static double distance2(const Tet& tet, const Point3& p) {
        const Point3 d = p - tet.centre;
        return dot(d, d);
    }
    static bool certainly_inside(const Tet& tet, const Point3& p) {
        return distance2(tet, p) < tet.radius2 * (1 - kSphereMargin);
    }

    // Does the circumsphere hold point v (not a vertex of the triangulation)?
    bool in_conflict(const Tet& tet, int32_t v, const Point3& p) const {
        const double d2 = distance2(tet, p);
        if (d2 > tet.radius2 * (1 + kSphereMargin)) return false;
        if (d2 < tet.radius2 * (1 - kSphereMargin)) return true;
        return in_conflict_exact(tet, v, p);
    }
    bool in_conflict_exact(const Tet& tet, int32_t v, const Point3& p) const {
        const Point3 &a = points_[tet.vertex[0]], &b = points_[tet.vertex[1]], &c = points_[tet.vertex[2]];
        if (tet.vertex[3] == kInfinity) {
            const int side = orient3d(a, b, c, p);
            // In the hull facet's plane the circle decides, in which the sphere behind the facet cuts it.
            const Tet& behind = tets_[tet.neighbour[3] >> 2];
            return side != 0 ? side > 0 : behind.removed() || in_conflict(behind, v, p);
        }
        const int side = insphere(a, b, c, points_[tet.vertex[3]], p);
        return side != 0 ? side > 0 : in_conflict_perturbed(tet, p);
    }
    // Lift the points one after the other, the last in lexicographic order most.  Lifting p takes it out of the sphere;
    // lifting a vertex raises the sphere at p if p is on the vertex's side of the opposite facet.
    bool in_conflict_perturbed(const Tet& tet, const Point3& p) const {
        const Point3* corner[4];
        for (int i = 0; i < 4; ++i) corner[i] = &points_[tet.vertex[i]];
        const Point3* lifted[5] = {corner[0], corner[1], corner[2], corner[3], &p};
        std::sort(lifted, lifted + 5, [](const Point3* a, const Point3* b) {
            return a->x != b->x ? a->x > b->x : a->y != b->y ? a->y > b->y : a->z > b->z;
        });
        for (const Point3* point : lifted) {
            if (point == &p) return false;
            const Point3* with_p[4];
            for (int i = 0; i < 4; ++i) with_p[i] = corner[i] == point ? &p : corner[i];
            const int side = orient3d(*with_p[0], *with_p[1], *with_p[2], *with_p[3]);
            if (side != 0) return side > 0;
        }
        throw std::logic_error("Delaunay: a flat tetrahedron");
    }

    // A tetrahedron in conflict with p, or -1 - the vertex that p equals.
    int32_t locate(const Point3& p) const {
        int32_t t = last_, entered = -1;
        if (tets_[t].vertex[3] == kInfinity) t = tets_[t].neighbour[3] >> 2;
        for (;;) {
            const Tet& tet = tets_[t];
            // Strictly inside a sphere there is no vertex, so p is new.  Beyond the hull likewise.
            if (certainly_inside(tet, p) || tet.vertex[3] == kInfinity) return t;
            const int out = facet_towards(tet, p, entered);
            if (out < 0) break;
            entered = tet.neighbour[out] & 3;
            t = tet.neighbour[out] >> 2;
        }
        for (const int32_t v : tets_[t].vertex)   // p is in the tetrahedron: equal to a corner, or inside the sphere
            if (equal(points_[v], p)) return -1 - v;
        return t;
    }
    // A facet that has p strictly beyond it, or -1 if p is in the tetrahedron.
    int facet_towards(const Tet& tet, const Point3& p, int entered) const {
        for (int i = 0; i < 4; ++i) {
            if (i == entered) continue;
            const auto& [a, b, c] = kFacet[i];
            if (orient3d(p, points_[tet.vertex[a]], points_[tet.vertex[b]], points_[tet.vertex[c]]) < 0) return i;
        }
        return -1;
    }

    // Collect the tetrahedra in conflict with point v, marked as removed, and the facets around them.
    void find_cavity(int32_t first, int32_t v, const Point3& p) {
        cavity_.clear();
        boundary_.clear();
        const auto remove = [this](int32_t t) {
            tets_[t].vertex[0] = ~tets_[t].vertex[0];
            for (const int32_t facet : tets_[t].neighbour) MILO_PREFETCH(&tets_[facet >> 2]);
            cavity_.push_back(t);
        };
        remove(first);
        for (size_t k = 0; k < cavity_.size(); ++k) {
            const Tet& tet = tets_[cavity_[k]];
            const int32_t vertex[4] = {~tet.vertex[0], tet.vertex[1], tet.vertex[2], tet.vertex[3]};
            for (int i = 0; i < 4; ++i) {
                const int32_t facet = tet.neighbour[i];
                const Tet& beyond = tets_[facet >> 2];
                if (beyond.removed()) continue;
                if (in_conflict(beyond, v, p)) {
                    remove(facet >> 2);
                    continue;
                }
                int32_t a = vertex[kFacet[i][0]], b = vertex[kFacet[i][1]], c = vertex[kFacet[i][2]];
                if (a == kInfinity) a = b, b = c, c = kInfinity;
                else if (b == kInfinity) b = a, a = c, c = kInfinity;
                boundary_.push_back({{a, b, c}, facet});
            }
        }
    }

    // Join point v to the facets around the cavity.
    void fill_cavity(int32_t v, const Point3& p) {
        names_.clear();
        for (size_t k = 0; k < boundary_.size(); ++k) {
            if (cavity_.empty()) {
                names_.push_back(static_cast<int32_t>(tets_.size()));
                tets_.emplace_back();
                continue;
            }
            names_.push_back(cavity_.back());
            cavity_.pop_back();
            if (cavity_.empty()) cavity_.swap(free_);
        }
        // Fewer facets than removed tetrahedra happens where many meet at an edge.
        free_.insert(free_.end(), cavity_.begin(), cavity_.end());
        if (tets_.size() > kMostTets) throw std::length_error("Delaunay: more than 2^29 tetrahedra");

        for (size_t k = 0; k < boundary_.size(); ++k) {
            Tet& tet = tets_[names_[k]];
            const auto [a, b, c] = boundary_[k].vertex;
            tet.vertex[0] = v, tet.vertex[1] = a, tet.vertex[2] = b, tet.vertex[3] = c;
            if (c == kInfinity) tet.radius2 = std::numeric_limits<double>::quiet_NaN();
            else set_sphere(tet, p);
            connect(4 * names_[k], boundary_[k].outside);
        }
        edges_.link(boundary_, names_, [this](int32_t facet, int32_t other) {
            tets_[facet >> 2].neighbour[facet & 3] = other;
        });
        last_ = names_.back();
    }

    const std::vector<Point3>& points_;
    std::vector<Tet> tets_;
    std::vector<int32_t> free_;
    EdgeTable edges_;
    std::vector<int32_t> cavity_, names_;
    std::vector<BoundaryFacet> boundary_;
    int32_t last_ = 0;
};

// Scale to at most 1 by a power of two and drop what lies below 2^-200: the predicates' range, exact for all but absurd input.
void normalise(std::vector<Point3>& points) {
    double largest = 0;
    for (const Point3& p : points) largest = std::max({largest, std::fabs(p.x), std::fabs(p.y), std::fabs(p.z)});
    if (largest == 0) return;
    int exponent;
    std::frexp(largest, &exponent);
    const auto scale = [exponent](double x) {
        const double rounder = std::ldexp(1.5, -148);   // its last bit is 2^-200
        x = std::ldexp(x, -exponent);
        return std::fabs(x) < rounder / 2 ? (x + rounder) - rounder : x;
    };
    for (Point3& p : points) p = {scale(p.x), scale(p.y), scale(p.z)};
}

// Bring four points that span a volume to the front; false if there are none.
bool lead_with_simplex(const std::vector<Point3>& points, std::vector<int32_t>& order) {
    const auto at = [&](size_t k) -> const Point3& { return points[order[k]]; };
    const auto bring = [&](size_t to, auto&& fits) {
        for (size_t k = to; k < order.size(); ++k)
            if (fits(at(k))) {
                std::rotate(order.begin() + to, order.begin() + k, order.begin() + k + 1);
                return true;
            }
        return false;
    };
    return bring(1, [&](const Point3& p) { return !equal(p, at(0)); }) &&
           bring(2, [&](const Point3& p) { return !collinear_exact(at(0), at(1), p); }) &&
           bring(3, [&](const Point3& p) { return orient3d(at(0), at(1), at(2), p) != 0; });
}

}  // namespace

std::vector<int32_t> delaunay(std::vector<Point3> points) {
    normalise(points);
    std::vector<int32_t> order = insertion_order(points);
    if (order.empty() || !lead_with_simplex(points, order)) return {};
    std::vector<Point3> sorted(points.size());
    for (size_t k = 0; k < order.size(); ++k) sorted[k] = points[order[k]];

    Triangulation triangulation(sorted);
    for (size_t k = 4; k < order.size(); ++k) {
        const int32_t vertex = triangulation.insert(static_cast<int32_t>(k));
        order[vertex] = std::min(order[vertex], order[k]);   // of equal points, the lowest index
    }
    std::vector<int32_t> tets;
    triangulation.each_finite([&](const int32_t* v) { tets.insert(tets.end(), {order[v[0]], order[v[1]], order[v[2]], order[v[3]]}); });
    return tets;
}

}  // namespace milo
