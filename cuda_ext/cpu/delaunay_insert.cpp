// SPDX-License-Identifier: Apache-2.0
#include "delaunay_insert.h"

#include <algorithm>
#include <array>
#include <thread>

#include "lanes.h"

namespace milo {
namespace {

// The circumsphere test d2 < radius2 is certain when the two differ by more than this share.  A sphere is used only if
// its rounding errors are certain to stay well below: see set_sphere().
constexpr double kSphereMargin = 1.2e-7;

double distance2(const Tet& tet, const Point3& p) {
    const Point3 d = p - tet.centre;
    return dot(d, d);
}

bool certainly_inside(const Tet& tet, const Point3& p) { return distance2(tet, p) < tet.radius2 * (1 - kSphereMargin); }

}  // namespace

Inserter::Inserter(const std::vector<Point3>& points, TetMesh& mesh, uint8_t number)
    : points_(points), mesh_(mesh), edges_(points.size()), number_(number) {}

template <bool kShared>
Inserter::Outcome Inserter::insert(int32_t v, int32_t& vertex) {
    blocked_ = false;
    const Point3 p = points_[v];
    const int32_t first = locate<kShared>(p);
    if (blocked_) return Outcome::kConflict;
    if (first < 0) {
        vertex = -1 - first;
        return Outcome::kDone;
    }
    find_cavity<kShared>(first, p);
    if (blocked_ || !enough_slots<kShared>()) {
        for (const int32_t t : cavity_) mesh_[t].vertex[0] = ~mesh_[t].vertex[0];
        release_all<kShared>();
        return blocked_ ? Outcome::kConflict : Outcome::kFull;
    }
    fill_cavity<kShared>(v, p);
    release_all<kShared>();
    vertex = v;
    return Outcome::kDone;
}

void Inserter::start() {
    const int32_t first = mesh_.reserve(5, 0);
    int32_t v[4] = {0, 1, 2, 3};
    if (orient3d(points_[0], points_[1], points_[2], points_[3]) < 0) std::swap(v[0], v[1]);
    std::copy(v, v + 4, mesh_[first].vertex);
    set_sphere(mesh_[first], points_[v[0]]);
    for (int i = 0; i < 4; ++i) {   // beyond facet i: its vertices and infinity
        Tet& tet = mesh_[first + i + 1];
        for (int k = 0; k < 3; ++k) tet.vertex[k] = v[kFacet[i][k]];
        tet.vertex[3] = kInfinity;
        tet.radius2 = std::numeric_limits<double>::quiet_NaN();
    }
    const auto corners = [this](int32_t facet) {
        std::array<int32_t, 3> corners;
        for (int k = 0; k < 3; ++k) corners[k] = mesh_[facet >> 2].vertex[kFacet[facet & 3][k]];
        std::sort(corners.begin(), corners.end());
        return corners;
    };
    for (int32_t facet = 4 * first; facet < 4 * (first + 5); ++facet)
        for (int32_t other = 4 * first; other < facet; ++other)
            if (corners(facet) == corners(other)) connect(facet, other);
    names_ = {first};
}

void Inserter::connect(int32_t facet, int32_t other) {
    mesh_[facet >> 2].neighbour[facet & 3] = other;
    mesh_[other >> 2].neighbour[other & 3] = facet;
}

// -- ownership -----------------------------------------------------------------------------------------------------------

// Take tetrahedron t, or find that this worker has it; if another one has and keeps it, false, and blocked_ is set.
template <bool kShared>
bool Inserter::own(int32_t t) {
    if constexpr (!kShared) return true;
    std::atomic<uint8_t>& owner = mesh_.owner(t);
    uint8_t now = owner.load(std::memory_order_relaxed);
    if (now == number_) return true;
    for (int tries = 0;; ++tries) {
        if (now == 0 && owner.compare_exchange_weak(now, number_, std::memory_order_acquire, std::memory_order_relaxed)) {
            held_.push_back(t);
            return true;
        }
        if ((now != 0 && now < number_) || mesh_.abandoned()) {
            blocked_ = true;
            return false;
        }
        if (tries > 100) std::this_thread::yield();
        now = owner.load(std::memory_order_relaxed);
    }
}

bool Inserter::try_to_own(int32_t t) {
    uint8_t now = 0;
    if (!mesh_.owner(t).compare_exchange_strong(now, number_, std::memory_order_acquire, std::memory_order_relaxed))
        return false;
    held_.push_back(t);
    return true;
}

template <bool kShared>
void Inserter::disown(int32_t t) {
    if constexpr (kShared) mesh_.owner(t).store(0, std::memory_order_release);
}

// Slots that are free now stay this worker's.
template <bool kShared>
void Inserter::release_all() {
    for (const int32_t t : held_)
        if (!mesh_[t].removed()) disown<kShared>(t);
    held_.clear();
}

void Inserter::begin_sharing() {
    first_unused_ = mesh_.used();
    for (const int32_t t : free_) mesh_.owner(t).store(number_, std::memory_order_relaxed);
}

// -- the way to a point --------------------------------------------------------------------------------------------------

// Any tetrahedron of the triangulation, best near the last insertion.
template <bool kShared>
int32_t Inserter::starting_tet() {
    if constexpr (!kShared) return names_.back();
    const auto take = [this](int32_t t) {
        if (!try_to_own(t)) return false;
        if (!mesh_[t].removed()) return true;
        disown<kShared>(t);
        held_.clear();
        return false;
    };
    for (size_t k = names_.size(); k-- > 0;)
        if (take(names_[k])) return names_[k];
    // Others have changed all of those.
    for (int32_t t = names_.empty() ? 0 : names_.back();; ++t) {
        if (mesh_.abandoned()) {
            blocked_ = true;
            return -1;
        }
        if (t >= first_unused_) t = 0;
        if (take(t)) return t;
    }
}

// A tetrahedron in conflict with p, or -1 - the vertex that p equals.  The tetrahedron is owned, and no other is.
template <bool kShared>
int32_t Inserter::locate(const Point3& p) {
    int32_t t = starting_tet<kShared>(), entered = -1;
    if (blocked_) return -1;
    const auto step = [&](int32_t facet) {
        const int32_t from = t;
        t = facet >> 2;
        const bool owned = own<kShared>(t);
        disown<kShared>(from);
        held_.clear();
        if (kShared && owned) held_.push_back(t);
        return owned;
    };
    if (mesh_[t].vertex[3] == kInfinity && !step(mesh_[t].neighbour[3])) return -1;
    for (;;) {
        const Tet& tet = mesh_[t];
        // Strictly inside a sphere there is no vertex, so p is new.  Beyond the hull likewise.
        if (certainly_inside(tet, p) || tet.vertex[3] == kInfinity) return t;
        const int out = facet_towards(tet, p, entered);
        if (out < 0) break;
        entered = tet.neighbour[out] & 3;
        if (!step(tet.neighbour[out])) return -1;
    }
    for (const int32_t v : mesh_[t].vertex)   // p is in the tetrahedron: equal to a corner, or inside the sphere
        if (equal(points_[v], p)) {
            release_all<kShared>();
            return -1 - v;
        }
    return t;
}

// A facet that has p strictly beyond it, or -1 if p is in the tetrahedron.
int Inserter::facet_towards(const Tet& tet, const Point3& p, int entered) const {
    for (int i = 0; i < 4; ++i) {
        if (i == entered) continue;
        const auto& [a, b, c] = kFacet[i];
        if (orient3d(p, points_[tet.vertex[a]], points_[tet.vertex[b]], points_[tet.vertex[c]]) < 0) return i;
    }
    return -1;
}

// -- the cavity ----------------------------------------------------------------------------------------------------------

// Does the circumsphere hold p, no vertex of the triangulation?
template <bool kShared>
bool Inserter::in_conflict(const Tet& tet, const Point3& p) {
    const double d2 = distance2(tet, p);
    if (d2 > tet.radius2 * (1 + kSphereMargin)) return false;
    if (d2 < tet.radius2 * (1 - kSphereMargin)) return true;
    return in_conflict_exact<kShared>(tet, p);
}

template <bool kShared>
bool Inserter::in_conflict_exact(const Tet& tet, const Point3& p) {
    const Point3 &a = points_[tet.vertex[0]], &b = points_[tet.vertex[1]], &c = points_[tet.vertex[2]];
    if (tet.vertex[3] == kInfinity) {
        const int side = orient3d(a, b, c, p);
        if (side != 0) return side > 0;
        // In the hull facet's plane the circle decides, in which the sphere behind the facet cuts it.
        const int32_t behind = tet.neighbour[3] >> 2;
        return own<kShared>(behind) && (mesh_[behind].removed() || in_conflict<kShared>(mesh_[behind], p));
    }
    const int side = insphere(a, b, c, points_[tet.vertex[3]], p);
    return side != 0 ? side > 0 : in_conflict_perturbed(tet, p);
}

// Lift the points one after the other, the last in lexicographic order most.  Lifting p takes it out of the sphere;
// lifting a vertex raises the sphere at p if p is on the vertex's side of the opposite facet.
bool Inserter::in_conflict_perturbed(const Tet& tet, const Point3& p) const {
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

// Collect the tetrahedra in conflict with p, marked as removed, and the facets around them; stops when blocked.
template <bool kShared>
void Inserter::find_cavity(int32_t first, const Point3& p) {
    cavity_.clear();
    boundary_.clear();
    const auto remove = [this](int32_t t) {
        mesh_[t].vertex[0] = ~mesh_[t].vertex[0];
        for (const int32_t facet : mesh_[t].neighbour) {
            MILO_PREFETCH(&mesh_[facet >> 2]);
            if constexpr (kShared) MILO_PREFETCH(&mesh_.owner(facet >> 2));
        }
        cavity_.push_back(t);
    };
    remove(first);
    for (size_t k = 0; k < cavity_.size(); ++k) {
        const Tet& tet = mesh_[cavity_[k]];
        const int32_t vertex[4] = {~tet.vertex[0], tet.vertex[1], tet.vertex[2], tet.vertex[3]};
        for (int i = 0; i < 4; ++i) {
            const int32_t facet = tet.neighbour[i];
            if (!own<kShared>(facet >> 2)) return;
            const Tet& beyond = mesh_[facet >> 2];
            if (beyond.removed()) continue;
            const bool conflict = in_conflict<kShared>(beyond, p);
            if (kShared && blocked_) return;
            if (conflict) {
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

// Are there slots for a tetrahedron on each facet of the boundary?  Takes some from the mesh if not.
template <bool kShared>
bool Inserter::enough_slots() {
    const int64_t missing = static_cast<int64_t>(boundary_.size()) - static_cast<int64_t>(cavity_.size() + free_.size());
    if (missing <= 0) return true;
    const int32_t count = std::max(kBlock, static_cast<int32_t>(missing));
    const int32_t first = mesh_.reserve(count, kShared ? number_ : 0);
    if (first < 0) return false;
    for (int32_t t = first + count; t-- > first;) free_.push_back(t);
    return true;
}

// Join point v to the facets around the cavity.
template <bool kShared>
void Inserter::fill_cavity(int32_t v, const Point3& p) {
    names_.clear();
    for (size_t k = 0; k < boundary_.size(); ++k) {
        std::vector<int32_t>& source = cavity_.empty() ? free_ : cavity_;
        if (kShared && cavity_.empty()) held_.push_back(source.back());
        names_.push_back(source.back());
        source.pop_back();
    }
    // Fewer facets than removed tetrahedra happens where many meet at an edge.
    free_.insert(free_.end(), cavity_.begin(), cavity_.end());

    for (size_t k = 0; k < boundary_.size(); ++k) {
        Tet& tet = mesh_[names_[k]];
        const auto [a, b, c] = boundary_[k].vertex;
        tet.vertex[0] = v, tet.vertex[1] = a, tet.vertex[2] = b, tet.vertex[3] = c;
        if (c == kInfinity) tet.radius2 = std::numeric_limits<double>::quiet_NaN();
        else set_sphere(tet, p);
        connect(4 * names_[k], boundary_[k].outside);
    }
    edges_.link(boundary_, names_, [this](int32_t facet, int32_t other) {
        mesh_[facet >> 2].neighbour[facet & 3] = other;
    });
}

// The circumsphere, computed from p, the tetrahedron's first vertex.
//
// Error analysis, eps = 2^-53, m = longest edge at p squared, |coordinates| <= 1: the determinant is off by at most
// 11 eps m^1.5, the numerator by 63 eps m^2, and as sqrt(m) <= 2 r the centre by (74 m^1.5 / |det| + 3) eps r, plus
// 2 eps (1 + r) for adding p.  With the two conditions below that is less than 1.1e-8 r, so |d2 - radius2| is off
// by less than 3.3e-8 (d2 + radius2): half of what kSphereMargin allows.
void Inserter::set_sphere(Tet& tet, const Point3& p) const {
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

template Inserter::Outcome Inserter::insert<false>(int32_t, int32_t&);
template Inserter::Outcome Inserter::insert<true>(int32_t, int32_t&);

}  // namespace milo
