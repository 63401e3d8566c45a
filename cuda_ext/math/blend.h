// SPDX-License-Identifier: Apache-2.0
// Front-to-back compositing of one pixel, or of several side by side: V is a scalar (a GPU thread) or a pack of lanes
// (cpu/lanes.h).  spec: rasterization.md 1.10, 1.11
#pragma once
#include "vec.h"

namespace milo {

constexpr double kAlphaMin = 1.0 / 255.0;          // below this a Gaussian does not touch the pixel
constexpr double kAlphaMax = 0.99;
constexpr double kTransmittanceMin = 1e-4;         // a Gaussian that would go below ends the pixel

MILO_HD float exponential(float x) { return expf(x); }
MILO_HD double exponential(double x) { return exp(x); }
MILO_HD float magnitude(float x) { return fabsf(x); }
MILO_HD double magnitude(double x) { return fabs(x); }
template <class T>
MILO_HD T select(bool condition, T a, T b) { return condition ? a : b; }

// (A dx^2 + C dy^2)/2 + B dx dy as a sum of squares: never negative, and without cancellation on thin footprints.
template <class T>
struct Falloff {
    T half_a;   // A/2
    T shear;    // B/A
    T half_v;   // (C - B^2/A)/2
};

template <class V, class T>
MILO_HD V exponent(const Falloff<T>& f, V dx, T dy) {
    const V u = dx + V(f.shear * dy);
    return V(f.half_a) * u * u + V(f.half_v * dy * dy);
}

// A pixel that has ended keeps its transmittance with a minus sign, so that one number holds the whole state.
template <class V>
struct BlendStep {
    V unclamped;       // opacity * falloff
    V alpha;           // what was composited, at most kAlphaMax
    V weight;          // alpha * transmittance; 0 if nothing was drawn
    V transmittance;   // afterwards
};

template <class V>
MILO_HD BlendStep<V> blend_step(V exponent, V opacity, V transmittance) {
    using T = V;
    BlendStep<V> step;
    step.unclamped = opacity * exponential(-exponent);
    step.alpha = smaller(step.unclamped, T(kAlphaMax));
    const auto seen = (exponent >= T(0)) & (step.alpha >= T(kAlphaMin));
    const V after = transmittance * (T(1) - step.alpha);
    const auto drawn = seen & (after >= T(kTransmittanceMin));
    step.weight = select(drawn, step.alpha * transmittance, T(0));
    step.transmittance = select(drawn, after, select(seen, -magnitude(transmittance), transmittance));
    return step;
}

// Gradient with respect to alpha, in the forward walk.  value = sum over channels of feature * gradient of the channel;
// remaining = the same sum composited behind this Gaussian, background included.
template <class V>
MILO_HD V alpha_gradient(const BlendStep<V>& step, V transmittance, V value, V remaining) {
    return transmittance * value - remaining / (V(1) - step.alpha);
}

}  // namespace milo
