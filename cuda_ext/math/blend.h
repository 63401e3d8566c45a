// SPDX-License-Identifier: Apache-2.0
// Front-to-back compositing of one pixel, or of several side by side: V is a scalar (a GPU thread) or a pack of lanes
// (cpu/lanes.h).  spec: rasterization.md 1.10, 1.11
#pragma once
#include "vec.h"

namespace milo {

constexpr double kAlphaMin = 1.0 / 255.0;          // below this a Gaussian does not touch the pixel
constexpr double kLog2AlphaMin = -7.994353436858858;
constexpr double kAlphaMax = 0.99;
constexpr double kTransmittanceMin = 1e-4;         // a Gaussian that would go below ends the pixel
constexpr double kLn2 = 0.6931471805599453;

MILO_HD float exponential2(float x) { return exp2f(x); }
MILO_HD double exponential2(double x) { return exp2(x); }
MILO_HD float magnitude(float x) { return fabsf(x); }
MILO_HD double magnitude(double x) { return fabs(x); }
MILO_HD float square_root(float x) { return sqrtf(x); }
MILO_HD double square_root(double x) { return sqrt(x); }
MILO_HD float negative(float x) { return -fabsf(x); }
MILO_HD double negative(double x) { return -fabs(x); }
template <class T>
MILO_HD T select(bool condition, T a, T b) { return condition ? a : b; }

// log2(opacity exp(-E)) with E = (A dx^2 + C dy^2)/2 + B dx dy written as a sum of squares: never negative, and without
// cancellation on thin footprints.
template <class T>
struct Falloff {
    T half_a;        // A/(2 ln 2)
    T shear;         // B/A
    T half_v;        // (C - B^2/A)/(2 ln 2)
    T log_opacity;   // log2
};

template <class T>
MILO_HD Falloff<T> make_falloff(T conic_a, T cov_b, T cov_c, T opacity) {
    const T k = T(0.5 / kLn2);
    return {k * conic_a, -cov_b / cov_c, k / cov_c, T(log2(opacity))};
}

// dx sheared along the rows, on which the power depends quadratically.
template <class V, class T>
MILO_HD V sheared(const Falloff<T>& f, V dx, V dy) { return dx + V(f.shear) * dy; }

template <class V, class T>
MILO_HD V power(const Falloff<T>& f, V sheared_dx, V dy) {
    return V(f.log_opacity) - V(f.half_v) * dy * dy - V(f.half_a) * sheared_dx * sheared_dx;
}

// For gradients alone: no threshold depends on its last bits.
template <class V>
MILO_HD V quotient(V a, V b) { return a / b; }
#ifdef __CUDA_ARCH__
__device__ __forceinline__ float quotient(float a, float b) { return __fdividef(a, b); }
#endif

// To some units in the last place on a GPU, where division and roots would cost more than all the rest.
template <class V>
MILO_HD V reciprocal(V a) { return V(1) / a; }
template <class V>
MILO_HD V inverse_root(V a) { return V(1) / square_root(a); }
#ifdef __CUDA_ARCH__
__device__ __forceinline__ float reciprocal(float a) { return __fdividef(1.f, a); }
__device__ __forceinline__ float inverse_root(float a) { return rsqrtf(a); }
#endif

// A pixel that has ended keeps its transmittance with a minus sign, so that one number holds the whole state.
template <class V>
struct BlendStep {
    V unclamped;       // opacity * falloff; where nothing was drawn this and alpha may be anything
    V alpha;           // what was composited, at most kAlphaMax
    V weight;          // alpha * transmittance; 0 if nothing was drawn
    V transmittance;   // afterwards
    decltype(V() >= V()) drawn;
};

template <class V>
MILO_HD BlendStep<V> blend_step(V power, V transmittance) {
    BlendStep<V> step;
    step.unclamped = exponential2(power);
    step.alpha = smaller(step.unclamped, V(kAlphaMax));
    const auto seen = power >= V(kLog2AlphaMin);
    const V after = transmittance * (V(1) - step.alpha);
    step.drawn = seen & (after >= V(kTransmittanceMin));
    step.weight = select(step.drawn, step.alpha * transmittance, V(0));
    step.transmittance = select(step.drawn, after, select(seen, negative(transmittance), transmittance));
    return step;
}

// Gradient with respect to alpha, in the forward walk.  value = sum over channels of feature * gradient of the channel;
// remaining = the same sum composited behind this Gaussian, background included.
template <class V>
MILO_HD V alpha_gradient(const BlendStep<V>& step, V transmittance, V value, V remaining) {
    return transmittance * value - quotient(remaining, V(1) - step.alpha);
}

}  // namespace milo
