// SPDX-License-Identifier: Apache-2.0
// One step of Adam on the rows that are visible.  spec: rasterization.md 6.3
#include <cmath>

#include "bindings.h"
#include "parallel.h"

namespace {

void sparse_adam_step(Array<float> param, Array<float> grad, Array<float> exp_avg, Array<float> exp_avg_sq,
                      Array<uint8_t> visible, double lr, int64_t step, double beta1, double beta2, double eps) {
    nb::gil_scoped_release release;
    const int64_t rows = visible.shape(0), columns = rows ? int64_t(param.size()) / rows : 0;
    const float rate = float(lr * std::sqrt(1 - std::pow(beta2, double(step))) / (1 - std::pow(beta1, double(step))));
    const float keep1 = float(beta1), take1 = float(1 - beta1), keep2 = float(beta2), take2 = float(1 - beta2);
    const float floor = float(eps);
    const uint8_t* seen = visible.data();
    milo::parallel_for(rows, 4096, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r) {
            if (!seen[r]) continue;
            const int64_t at = r * columns;
            float* __restrict x = param.data() + at;
            float* __restrict m = exp_avg.data() + at;
            float* __restrict v = exp_avg_sq.data() + at;
            const float* __restrict g = grad.data() + at;
            for (int64_t c = 0; c < columns; ++c) {
                m[c] = keep1 * m[c] + take1 * g[c];
                v[c] = keep2 * v[c] + take2 * g[c] * g[c];
                x[c] -= rate * m[c] / (std::sqrt(v[c]) + floor);
            }
        }
    });
}

}  // namespace

void bind_adam(nb::module_& m) {
    m.def("sparse_adam_step", &sparse_adam_step, nb::arg("param"), nb::arg("grad"), nb::arg("exp_avg"),
          nb::arg("exp_avg_sq"), nb::arg("visible"), nb::arg("lr"), nb::arg("step"), nb::arg("beta1"), nb::arg("beta2"),
          nb::arg("eps"));
}
