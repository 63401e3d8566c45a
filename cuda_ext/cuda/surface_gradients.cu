// SPDX-License-Identifier: Apache-2.0
// One thread per triangle, then one per vertex.  spec: extraction_evaluation_editing.md 3.7.3
#include "common.cuh"
#include "surface_gradient.h"

using namespace milo;

KERNEL triangle_gradients(const Scalar* positions, const int* faces, const Scalar* duals, const Scalar* normals,
                          const Scalar* areas, const unsigned char* good, const Scalar* flip, int normal_stretch,
                          int count, Scalar* F, Scalar* weights) {
    const long long i = thread_index();
    if (i >= count) return;
    Vec3<Scalar> y[3];
    for (int k = 0; k < 3; ++k) y[k] = load3(positions, faces[3 * i + k]);
    const TriangleGradient<Scalar> gradient = triangle_gradient(
        y, load3(duals, 2 * i), load3(duals, 2 * i + 1), load3(normals, i), areas[i], flip[i], normal_stretch);
    store_matrix(F + 9 * i, gradient.F);
    weights[i] = good[i] && !gradient.collapsed ? areas[i] : Scalar(0);
}

KERNEL vertex_gradients(const Scalar* F, const Scalar* weights, const int* begins, const int* incident, int count,
                        Scalar* out, Scalar* totals) {
    const long long i = thread_index();
    if (i >= count) return;
    const int first = begins[i];
    store_matrix(out + 9 * i, vertex_gradient(incident + first, begins[i + 1] - first, F, weights, totals[i]));
}
