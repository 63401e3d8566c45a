// SPDX-License-Identifier: Apache-2.0
// One step of Adam on the rows that are visible, of several tensors at once.  spec: rasterization.md 6.3
#include "common.cuh"

using namespace milo;

namespace {

struct Parameter {
    float* value;
    const float* grad;
    float *exp_avg, *exp_avg_sq;
    unsigned first_block, count, columns;
    float rate;
};

struct Parameters {
    Parameter tensor[8];
};

}  // namespace

// One thread per scalar; each tensor begins with a block of its own.  Either visible or radii is null.
KERNEL sparse_adam(Parameters parameters, int num_tensors, const unsigned char* visible, const int* radii, float keep1,
                   float take1, float keep2, float take2, float eps) {
    int t = 0;
    while (t + 1 < num_tensors && blockIdx.x >= parameters.tensor[t + 1].first_block) ++t;
    const Parameter p = parameters.tensor[t];
    const unsigned i = (blockIdx.x - p.first_block) * blockDim.x + threadIdx.x;
    if (i >= p.count) return;
    const unsigned row = i / p.columns;
    if (visible ? !visible[row] : radii[row] <= 0) return;
    const float g = p.grad[i];
    const float m = keep1 * p.exp_avg[i] + take1 * g;
    const float v = keep2 * p.exp_avg_sq[i] + take2 * g * g;
    p.exp_avg[i] = m;
    p.exp_avg_sq[i] = v;
    p.value[i] -= p.rate * m / (sqrt(v) + eps);
}
