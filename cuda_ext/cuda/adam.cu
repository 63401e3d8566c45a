// SPDX-License-Identifier: Apache-2.0
// One step of Adam on the rows that are visible.  spec: rasterization.md 6.3
#include "common.cuh"

using namespace milo;

// One thread per scalar.
KERNEL sparse_adam(float* param, const float* grad, float* exp_avg, float* exp_avg_sq, const unsigned char* visible,
                   unsigned count, unsigned columns, float rate, float keep1, float take1, float keep2, float take2,
                   float eps) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count || !visible[i / columns]) return;
    const float g = grad[i];
    const float m = keep1 * exp_avg[i] + take1 * g;
    const float v = keep2 * exp_avg_sq[i] + take2 * g * g;
    exp_avg[i] = m;
    exp_avg_sq[i] = v;
    param[i] -= rate * m / (sqrt(v) + eps);
}
