// SPDX-License-Identifier: Apache-2.0
// One step of Adam on the rows that are visible.  spec: rasterization.md 6.3
#include <cmath>
#include <tuple>
#include <vector>

#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "parallel.h"

namespace {

// value, gradient, first and second moment, learning rate, step
using Parameter = std::tuple<Array<float>, Array<float>, Array<float>, Array<float>, double, int64_t>;

// visible: above 0 = take the step.
template <class Visible>
void sparse_adam_steps(const std::vector<Parameter>& parameters, Array<const Visible> visible, double beta1,
                       double beta2, double eps) {
    nb::gil_scoped_release release;
    const int64_t rows = visible.shape(0);
    const float keep1 = float(beta1), take1 = float(1 - beta1), keep2 = float(beta2), take2 = float(1 - beta2);
    const float floor = float(eps);
    const Visible* seen = visible.data();
    for (const auto& [value, grad, exp_avg, exp_avg_sq, lr, step] : parameters) {
        const int64_t columns = rows ? int64_t(value.size()) / rows : 0;
        const float rate =
            float(lr * std::sqrt(1 - std::pow(beta2, double(step))) / (1 - std::pow(beta1, double(step))));
        float *const values = value.data(), *const first = exp_avg.data(), *const second = exp_avg_sq.data();
        const float* const gradients = grad.data();
        milo::parallel_for(rows, 4096, [&, columns = columns](int64_t begin, int64_t end, int) {
            for (int64_t r = begin; r < end; ++r) {
                if (!(seen[r] > 0)) continue;
                const int64_t at = r * columns;
                float* __restrict x = values + at;
                float* __restrict m = first + at;
                float* __restrict v = second + at;
                const float* __restrict g = gradients + at;
                for (int64_t c = 0; c < columns; ++c) {
                    m[c] = keep1 * m[c] + take1 * g[c];
                    v[c] = keep2 * v[c] + take2 * g[c] * g[c];
                    x[c] -= rate * m[c] / (std::sqrt(v[c]) + floor);
                }
            }
        });
    }
}

}  // namespace

void bind_adam(nb::module_& m) {
    m.def("sparse_adam_steps", &sparse_adam_steps<uint8_t>);
    m.def("sparse_adam_steps", &sparse_adam_steps<int32_t>);
}
