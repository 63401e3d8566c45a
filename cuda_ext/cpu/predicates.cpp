// SPDX-License-Identifier: Apache-2.0
// Exact determinants by floating-point expansions.  Compiled without contraction into fused multiply-adds (CMakeLists.txt):
// the error terms below rely on every sum and product being rounded by itself.
#include "predicates.h"

#if defined(_MSC_VER)
#pragma fp_contract(off)
#elif defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

namespace milo {
namespace {

// The exact sum of x[0..n), no two of which overlap, smallest first, zeros left out.  N bounds n.
template <int N>
struct Expansion {
    double x[N];
    int n = 0;

    void push(double value) {
        if (value != 0) x[n++] = value;
    }
    int sign() const { return n == 0 ? 0 : (x[n - 1] > 0 ? 1 : -1); }
    Expansion operator-() const {
        Expansion r;
        for (r.n = 0; r.n < n; ++r.n) r.x[r.n] = -x[r.n];
        return r;
    }
};

// sum + error == a + b exactly (Knuth)
inline void two_sum(double a, double b, double& sum, double& error) {
    sum = a + b;
    const double b_seen = sum - a;
    error = (a - (sum - b_seen)) + (b - b_seen);
}

// product + error == a * b exactly
inline void two_product(double a, double b, double& product, double& error) {
    product = a * b;
    error = std::fma(a, b, -product);
}

template <int N, int M>
Expansion<N + M> operator+(const Expansion<N>& a, const Expansion<M>& b) {
    Expansion<N + M> r;
    int i = 0, j = 0;
    const auto next = [&] {   // merge by size
        return j == b.n || (i < a.n && std::fabs(a.x[i]) < std::fabs(b.x[j])) ? a.x[i++] : b.x[j++];
    };
    if (a.n + b.n == 0) return r;
    double top = next(), error;
    while (i < a.n || j < b.n) {
        two_sum(top, next(), top, error);
        r.push(error);
    }
    r.push(top);
    return r;
}

template <int N, int M>
Expansion<N + M> operator-(const Expansion<N>& a, const Expansion<M>& b) {
    return a + (-b);
}

template <int N>
Expansion<2 * N> operator*(const Expansion<N>& a, double factor) {
    Expansion<2 * N> r;
    if (a.n == 0 || factor == 0) return r;
    double top, error, high, low, sum;
    two_product(a.x[0], factor, top, error);
    r.push(error);
    for (int i = 1; i < a.n; ++i) {
        two_product(a.x[i], factor, high, low);
        two_sum(top, low, sum, error);
        r.push(error);
        two_sum(high, sum, top, error);
        r.push(error);
    }
    r.push(top);
    return r;
}

// ax * by - bx * ay
Expansion<4> minor2(double ax, double ay, double bx, double by) {
    Expansion<1> a, b;
    a.push(ax), b.push(bx);
    return a * by - b * ay;
}

Expansion<24> det3(const Point3& a, const Point3& b, const Point3& c) {
    return minor2(a.x, a.y, b.x, b.y) * c.z + minor2(b.x, b.y, c.x, c.y) * a.z + minor2(c.x, c.y, a.x, a.y) * b.z;
}

// det(b - a, c - a, d - a), from the coordinates themselves
Expansion<96> det4(const Point3& a, const Point3& b, const Point3& c, const Point3& d) {
    return (det3(b, c, d) - det3(a, c, d)) + (det3(a, b, d) - det3(a, b, c));
}

template <int N>
Expansion<12 * N> times_square(const Expansion<N>& a, const Point3& p) {
    return a * p.x * p.x + a * p.y * p.y + a * p.z * p.z;
}

// d = a - b, and whether that is free of rounding
bool exact_difference(const Point3& a, const Point3& b, Point3& d) {
    double ex, ey, ez;
    two_sum(a.x, -b.x, d.x, ex);
    two_sum(a.y, -b.y, d.y, ey);
    two_sum(a.z, -b.z, d.z, ez);
    return ex == 0 && ey == 0 && ez == 0;
}

}  // namespace

int orient3d_exact(const Point3& a, const Point3& b, const Point3& c, const Point3& d) {
    Point3 u, v, w;
    // Neighbours usually have exact differences, which makes the expansions four times shorter.
    if (exact_difference(b, a, u) && exact_difference(c, a, v) && exact_difference(d, a, w)) return det3(u, v, w).sign();
    return det4(a, b, c, d).sign();
}

int insphere_exact(const Point3& a, const Point3& b, const Point3& c, const Point3& d, const Point3& e) {
    Point3 p, q, r, s;
    if (exact_difference(a, e, p) && exact_difference(b, e, q) && exact_difference(c, e, r) && exact_difference(d, e, s))
        return ((times_square(det3(q, r, s), p) - times_square(det3(p, r, s), q)) +
                (times_square(det3(p, q, s), r) - times_square(det3(p, q, r), s)))
            .sign();
    return -((times_square(det4(b, c, d, e), a) - times_square(det4(a, c, d, e), b)) +
             (times_square(det4(a, b, d, e), c) - times_square(det4(a, b, c, e), d)) + times_square(det4(a, b, c, d), e))
                .sign();
}

bool collinear_exact(const Point3& a, const Point3& b, const Point3& c) {
    const auto flat = [](double ax, double ay, double bx, double by, double cx, double cy) {
        return (minor2(ax, ay, bx, by) + minor2(bx, by, cx, cy) + minor2(cx, cy, ax, ay)).n == 0;
    };
    return flat(a.x, a.y, b.x, b.y, c.x, c.y) && flat(a.y, a.z, b.y, b.z, c.y, c.z) && flat(a.z, a.x, b.z, b.x, c.z, c.x);
}

}  // namespace milo
