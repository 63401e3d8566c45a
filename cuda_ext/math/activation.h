// SPDX-License-Identifier: Apache-2.0
// From stored to drawn Gaussians: exponential, sigmoid and the 3D smoothing filter.  spec: rasterization.md 1.3,
// training.md 2.4
#pragma once
#include "vec.h"

namespace milo {

// The filter widens each axis to hypot(scale, radius) and dims the Gaussian by how much its volume grows.
template <class T>
struct Activated {
    Vec3<T> filtered, ratio;   // ratio: of the scale to the filtered one
    T own_opacity, opacity;    // before and after dimming
};

template <class T>
MILO_HD Activated<T> activate(Vec3<T> log_scales, T logit, T radius) {
    const Vec3<T> s = {exp(log_scales.x), exp(log_scales.y), exp(log_scales.z)};
    Activated<T> a;
    a.filtered = {hypot(s.x, radius), hypot(s.y, radius), hypot(s.z, radius)};
    a.ratio = {s.x / a.filtered.x, s.y / a.filtered.y, s.z / a.filtered.z};
    a.own_opacity = T(1) / (T(1) + exp(-logit));
    a.opacity = a.own_opacity * a.ratio.x * a.ratio.y * a.ratio.z;
    return a;
}

template <class T>
struct ActivationGrads {
    Vec3<T> log_scales;
    T logit;
};

template <class T>
MILO_HD ActivationGrads<T> activate_backward(const Activated<T>& a, Vec3<T> g_filtered, T g_opacity) {
    const Vec3<T> squared = a.ratio * a.ratio;
    const T g = g_opacity * a.opacity;
    return {g_filtered * squared * a.filtered + g * (Vec3<T>{1, 1, 1} - squared), g * (T(1) - a.own_opacity)};
}

}  // namespace milo
