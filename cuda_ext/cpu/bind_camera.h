// SPDX-License-Identifier: Apache-2.0
// viewmat [4, 4] and K [3, 3], row-major float64 from Python, as the maths headers take them.
#pragma once
#include "bindings.h"
#include "vec.h"

inline milo::RigidMotion<double> motion(const Array<double>& viewmat) {
    const double* m = viewmat.data();
    return {{{m[0], m[1], m[2]}, {m[4], m[5], m[6]}, {m[8], m[9], m[10]}}, {m[3], m[7], m[11]}};
}

inline milo::Pinhole<double> lens(const Array<double>& K) {
    const double* k = K.data();
    return {k[0], k[4], k[2], k[5]};
}
