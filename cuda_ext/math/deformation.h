// SPDX-License-Identifier: Apache-2.0
// A Gaussian that follows a surface.  spec: extraction_evaluation_editing.md 3.7.3 - 3.7.5
#pragma once
#include "linear_map.h"

namespace milo {

// The triangle that a Gaussian is on, as it is now.
template <class T>
struct Footing {
    Mat3<T> gradients[3];   // at its corners
    Vec3<T> corners[3];     // in the object's space
    bool gone[3];           // whether the surface has collapsed there
};

template <class T>
struct Carried {
    Mat3<T> F;
    Vec3<T> mean;
    bool gone;
};

// share: barycentric coordinates; residual: from the point of the triangle to the mean, at rest; W and w: the object's
// matrix.
template <class T>
MILO_HD Carried<T> carry(const Footing<T>& on, Vec3<T> share, Vec3<T> residual, const Mat3<T>& W, Vec3<T> w) {
    const auto blend = [&](Vec3<T> a, Vec3<T> b, Vec3<T> c) { return share.x * a + share.y * b + share.z * c; };
    const Mat3<T>* g = on.gradients;
    const Mat3<T> local = {blend(g[0].r0, g[1].r0, g[2].r0), blend(g[0].r1, g[1].r1, g[2].r1),
                           blend(g[0].r2, g[1].r2, g[2].r2)};
    const Vec3<T> at = blend(on.corners[0], on.corners[1], on.corners[2]) + local * residual;
    const T counts = T(1e-6);
    const bool gone = (on.gone[0] && share.x > counts) || (on.gone[1] && share.y > counts) ||
                      (on.gone[2] && share.z > counts);
    return {W * local, W * at + w, gone};
}

template <class T>
struct Reshaped {
    Vec3<T> scales;
    Quat<T> quat;
    Mat3<T> Q;    // rotation or reflection, to turn the harmonics by
    bool same;    // F is the identity: nothing changes, to the last bit
};

// F stretches by no more than limit.  on_the_whole: F of the object, taken for Q where F is so flat that it does not tell.
template <class T>
MILO_HD Reshaped<T> reshape(Mat3<T> F, Vec3<T> scales, Quat<T> quat, T limit, const T* on_the_whole) {
    constexpr T kLeastStretch = T(1e-4), kUnchanged = T(1e-6);
    const auto decompose_signed = [](const Mat3<T>& m) { return decompose(m, determinant(m) < T(0) ? T(-1) : T(1)); };
    const Vec3<T> ones = {T(1), T(1), T(1)};
    const Mat3<T> identity = {{T(1), T(0), T(0)}, {T(0), T(1), T(0)}, {T(0), T(0), T(1)}};
    const Mat3<T> off = {F.r0 - identity.r0, F.r1 - identity.r1, F.r2 - identity.r2};
    if (largest(off) < kUnchanged) return {scales, quat, identity, true};

    const Decomposed<T> parts = decompose_signed(F);
    const Vec3<T> s = parts.s;
    const auto kept = [&](T stretch) { return larger(smaller(stretch, limit), kLeastStretch); };
    const Vec3<T> k = {kept(s.x), kept(s.y), kept(s.z)};
    if (k.x != s.x || k.y != s.y || k.z != s.z) F = composed(parts, k);
    const T most = larger(larger(s.x, s.y), s.z), least = smaller(smaller(s.x, s.y), s.z);
    const bool flat = s.x + s.y + s.z - most - least < kLeastStretch * most;
    const Mat3<T> Q = composed(flat ? decompose_signed(matrix_at(on_the_whole)) : parts, ones);

    const Mat3<T> R = rotation(normalised(quat));
    const Decomposed<T> axes = decompose(F * Mat3<T>{R.r0 * scales, R.r1 * scales, R.r2 * scales}, T(1));
    return {axes.s, quaternion(axes.u), Q, false};
}

}  // namespace milo
