// SPDX-License-Identifier: Apache-2.0
// Insertion of points into a Delaunay triangulation, by one worker or by several at once.
//
// The tetrahedra whose circumsphere holds the new point form a cavity; it is emptied and filled with tetrahedra from its
// boundary to the point (Bowyer 1981, Watson 1981).  A vertex at infinity closes the hull: a tetrahedron (a, b, c,
// infinity) stands for the half space beyond the hull facet abc.  The cavity's first tetrahedron is found by walking from
// one that the worker has made before.
//
// Workers own what they read.  An insertion takes the cavity and the tetrahedra around it one by one, changes them when it
// has them all, and lets go; so insertions have the effect of some order of theirs.  One that meets another worker's
// tetrahedron gives everything back and is to be tried again, unless the other worker has the higher number: then it
// waits.  Nobody waits in a circle, and the lowest number always gets on.
#pragma once
#include <cstdint>
#include <vector>

#include "delaunay_edges.h"
#include "delaunay_mesh.h"

namespace milo {

class Inserter {
public:
    enum class Outcome { kDone, kConflict, kFull };

    // number: of the worker, from 1.
    Inserter(const std::vector<Point3>& points, TetMesh& mesh, uint8_t number);

    // The first tetrahedra: points 0 to 3, which span a volume, and infinity.
    void start();

    // Insert point v; `vertex` gets v, or the vertex that v equals, and then nothing changes.  Nothing has changed either
    // after kConflict (another worker was in the way) and kFull (the mesh has to grow).  kShared: others insert too.
    template <bool kShared>
    Outcome insert(int32_t v, int32_t& vertex);

    // For each worker, before the threads start that share the mesh.
    void begin_sharing();

private:
    static constexpr int32_t kBlock = 1024;   // slots taken from the mesh at a time

    template <bool kShared>
    bool own(int32_t t);
    bool try_to_own(int32_t t);
    template <bool kShared>
    void disown(int32_t t);
    template <bool kShared>
    void release_all();

    template <bool kShared>
    int32_t starting_tet();
    template <bool kShared>
    int32_t locate(const Point3& p);
    int facet_towards(const Tet& tet, const Point3& p, int entered) const;

    template <bool kShared>
    bool in_conflict(const Tet& tet, const Point3& p);
    template <bool kShared>
    bool in_conflict_exact(const Tet& tet, const Point3& p);
    bool in_conflict_perturbed(const Tet& tet, const Point3& p) const;

    template <bool kShared>
    void find_cavity(int32_t first, const Point3& p);
    template <bool kShared>
    bool enough_slots();
    template <bool kShared>
    void fill_cavity(int32_t v, const Point3& p);
    void set_sphere(Tet& tet, const Point3& p) const;
    void connect(int32_t facet, int32_t other);

    const std::vector<Point3>& points_;
    TetMesh& mesh_;
    EdgeTable edges_;
    std::vector<int32_t> free_;              // slots that nobody refers to
    std::vector<int32_t> held_;              // owned for the present insertion
    std::vector<int32_t> cavity_, names_;    // names_: tetrahedra made last
    std::vector<BoundaryFacet> boundary_;
    int32_t first_unused_ = 0;               // slots from here on may belong to nobody yet
    uint8_t number_;
    bool blocked_ = false;
};

}  // namespace milo
