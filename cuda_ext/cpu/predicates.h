// SPDX-License-Identifier: Apache-2.0
// Exact signs of the two determinants a Delaunay triangulation asks for.
//
// A floating-point filter answers nearly always; when rounding could have changed the sign, the determinant is evaluated
// exactly as a floating-point expansion (J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust
// Geometric Predicates", 1997; written anew from the paper).  Exact while no product underflows: coordinates must be at most
// 1 in size and multiples of 2^-200.
#pragma once
#include <cmath>

#include "vec.h"

namespace milo {

using Point3 = Vec3<double>;

inline bool equal(const Point3& a, const Point3& b) { return a.x == b.x && a.y == b.y && a.z == b.z; }

// What rounding in cross() is proportional to.
inline Point3 cross_magnitude(const Point3& a, const Point3& b) {
    return {std::fabs(a.y * b.z) + std::fabs(a.z * b.y), std::fabs(a.z * b.x) + std::fabs(a.x * b.z),
            std::fabs(a.x * b.y) + std::fabs(a.y * b.x)};
}

int orient3d_exact(const Point3& a, const Point3& b, const Point3& c, const Point3& d);
int insphere_exact(const Point3& a, const Point3& b, const Point3& c, const Point3& d, const Point3& e);
bool collinear_exact(const Point3& a, const Point3& b, const Point3& c);

// Sign of det(b - a, c - a, d - a): +1 when the tetrahedron (a, b, c, d) is positively oriented.
inline int orient3d(const Point3& a, const Point3& b, const Point3& c, const Point3& d) {
    constexpr double kRounding = 1.2e-15;   // > (7 + 56 eps) eps, eps = 2^-53, with room for either order of summation
    const Point3 u = b - a, v = c - a, w = d - a;
    const double det = dot(u, cross(v, w));
    const Point3 size = cross_magnitude(v, w);
    const double bound = kRounding * (std::fabs(u.x) * size.x + std::fabs(u.y) * size.y + std::fabs(u.z) * size.z);
    if (det > bound) return 1;
    if (det < -bound) return -1;
    return orient3d_exact(a, b, c, d);
}

// +1 when e lies inside the circumsphere of the positively oriented tetrahedron (a, b, c, d), 0 on it, -1 outside.
inline int insphere(const Point3& a, const Point3& b, const Point3& c, const Point3& d, const Point3& e) {
    constexpr double kRounding = 3e-15;   // > (16 + 224 eps) eps
    const Point3 p = a - e, q = b - e, r = c - e, s = d - e;
    const Point3 pq = cross(p, q), rs = cross(r, s), pq_size = cross_magnitude(p, q), rs_size = cross_magnitude(r, s);
    const double pp = dot(p, p), qq = dot(q, q), rr = dot(r, r), ss = dot(s, s);
    // Minus the determinant of the rows (p, |p|^2), ...: the 3x3 minors share the two cross products.
    const double det = pp * dot(q, rs) - qq * dot(p, rs) + rr * dot(s, pq) - ss * dot(r, pq);
    const auto weigh = [](const Point3& v, const Point3& size) {
        return std::fabs(v.x) * size.x + std::fabs(v.y) * size.y + std::fabs(v.z) * size.z;
    };
    const double bound = kRounding * (pp * weigh(q, rs_size) + qq * weigh(p, rs_size) + rr * weigh(s, pq_size) +
                                      ss * weigh(r, pq_size));
    if (det > bound) return 1;
    if (det < -bound) return -1;
    return insphere_exact(a, b, c, d, e);
}

}  // namespace milo
