// SPDX-License-Identifier: Apache-2.0
// CPU driver of the activation.
#include <cmath>

#include "bindings.h"
#include "parallel.h"
#include "rows.h"

namespace milo {
using std::exp;
using std::hypot;
}
#include "activation.h"

namespace milo {
namespace {

template <class T>
using In = Array<const T>;

template <class T>
void forward(In<T> log_scales, In<T> logits, In<T> radii, Array<T> scales, Array<T> opacities) {
    nb::gil_scoped_release release;
    parallel_for(int64_t(logits.size()), 2048, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            const Activated<T> a = activate(load3(log_scales.data(), i), logits.data()[i], radii.data()[i]);
            store3(scales.data(), i, a.filtered);
            opacities.data()[i] = a.opacity;
        }
    });
}

template <class T>
void backward(In<T> log_scales, In<T> logits, In<T> radii, In<T> g_scales, In<T> g_opacities, Array<T> g_log_scales,
              Array<T> g_logits) {
    nb::gil_scoped_release release;
    parallel_for(int64_t(logits.size()), 2048, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            const Activated<T> a = activate(load3(log_scales.data(), i), logits.data()[i], radii.data()[i]);
            const ActivationGrads<T> g = activate_backward(a, load3(g_scales.data(), i), g_opacities.data()[i]);
            store3(g_log_scales.data(), i, g.log_scales);
            g_logits.data()[i] = g.logit;
        }
    });
}

template <class T>
void bind(nb::module_& m) {
    m.def("activate", &forward<T>);
    m.def("activate_backward", &backward<T>);
}

}  // namespace
}  // namespace milo

void bind_activation(nb::module_& m) {
    milo::bind<float>(m);
    milo::bind<double>(m);
}
