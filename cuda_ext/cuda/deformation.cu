// SPDX-License-Identifier: Apache-2.0
// One thread per matrix or Gaussian.  spec: extraction_evaluation_editing.md 3.7.3 - 3.7.5
#include "common.cuh"
#include "deformation.h"
#include "harmonics.h"

using namespace milo;

KERNEL decompose(const Scalar* A, const Scalar* sign, int count, Scalar* U, Scalar* S, Scalar* V) {
    const long long i = thread_index();
    if (i >= count) return;
    const Decomposed<Scalar> d = decompose(matrix_at(A + 9 * i), sign ? sign[i] : Scalar(1));
    store_matrix(U + 9 * i, transposed(Mat3<Scalar>{d.u[0], d.u[1], d.u[2]}));
    store3(S, i, d.s);
    store_matrix(V + 9 * i, transposed(Mat3<Scalar>{d.v[0], d.v[1], d.v[2]}));
}

KERNEL turn_harmonics(const Scalar* sh_rest, const Scalar* Q, int count, int terms, int degree, Scalar* out) {
    const long long i = thread_index();
    if (i >= count) return;
    turn_harmonics(degree, terms, matrix_at(Q + 9 * i), sh_rest + 3 * terms * i, out + 3 * terms * i);
}

KERNEL carry(const Scalar* gradients, const unsigned char* gone, const Scalar* positions, const int* groups,
             const int* verts, const Scalar* share, const Scalar* residual, const int* object, const Scalar* matrices,
             const Scalar* opacities, int count, Scalar* F, Scalar* means, Scalar* volumes, Scalar* visible) {
    const long long i = thread_index();
    if (i >= count) return;
    Footing<Scalar> on;
    for (int k = 0; k < 3; ++k) {
        const long long group = groups[3 * i + k];
        on.gradients[k] = matrix_at(gradients + 9 * group);
        on.gone[k] = gone[group] != 0;
        on.corners[k] = load3(positions, verts[3 * i + k]);
    }
    const Scalar* m = matrices + 16 * object[i];
    const Carried<Scalar> carried = carry(on, load3(share, i), load3(residual, i), linear_part(m),
                                          Vec3<Scalar>{m[3], m[7], m[11]});
    store_matrix(F + 9 * i, carried.F);
    store3(means, i, carried.mean);
    volumes[i] = absolute(determinant(carried.F));
    visible[i] = carried.gone ? Scalar(0) : opacities[i];
}

KERNEL reshape(const Scalar* F, const Scalar* unit, const int* object, const Scalar* limits, const Scalar* on_the_whole,
               const Scalar* scales, const Scalar* quats, const Scalar* sh_rest, int count, int terms, int degree,
               Scalar* new_scales, Scalar* new_quats, Scalar* new_sh_rest) {
    const long long i = thread_index();
    if (i >= count) return;
    const long long of = object[i], first = 3 * terms * i;
    const Scalar* q = quats + 4 * i;
    const Reshaped<Scalar> r = reshape((Scalar(1) / *unit) * matrix_at(F + 9 * i), load3(scales, i),
                                       Quat<Scalar>{q[0], q[1], q[2], q[3]}, limits[of], on_the_whole + 9 * of);
    store3(new_scales, i, r.scales);
    Scalar* to = new_quats + 4 * i;
    to[0] = r.quat.w, to[1] = r.quat.x, to[2] = r.quat.y, to[3] = r.quat.z;
    turn_harmonics(r.same ? 0 : degree, terms, r.Q, sh_rest + first, new_sh_rest + first);
}
