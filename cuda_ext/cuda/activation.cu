// SPDX-License-Identifier: Apache-2.0
// One thread per Gaussian.  spec: rasterization.md 1.3
#include "common.cuh"
#include "activation.h"

using namespace milo;

KERNEL activate(const Scalar* log_scales, const Scalar* logits, const Scalar* radii, int count, Scalar* scales,
                Scalar* opacities) {
    const long long i = thread_index();
    if (i >= count) return;
    const Activated<Scalar> a = activate(load3(log_scales, i), logits[i], radii[i]);
    store3(scales, i, a.filtered);
    opacities[i] = a.opacity;
}

KERNEL activate_backward(const Scalar* log_scales, const Scalar* logits, const Scalar* radii, int count,
                         const Scalar* g_scales, const Scalar* g_opacities, Scalar* g_log_scales, Scalar* g_logits) {
    const long long i = thread_index();
    if (i >= count) return;
    const Activated<Scalar> a = activate(load3(log_scales, i), logits[i], radii[i]);
    const ActivationGrads<Scalar> g = activate_backward(a, load3(g_scales, i), g_opacities[i]);
    store3(g_log_scales, i, g.log_scales);
    g_logits[i] = g.logit;
}
