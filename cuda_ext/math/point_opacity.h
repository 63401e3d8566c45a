// SPDX-License-Identifier: Apache-2.0
// How opaque a Gaussian is at a point: as on the point's ray once the point is beyond the peak, less before it.
// spec: rasterization.md 4.2
#pragma once
#include "gof.h"

namespace milo {

// For RaDe-GS.  Of the quadratic form in (pixel, pixel, distance) only the distance from the ray's peak remains beside
// the falloff on the image: the peak is where the form is least along the ray.
template <class T>
struct alignas(16 * sizeof(T)) RadeProbe {
    Vec2<T> mean;
    Falloff<T> falloff;
    T distance;          // of the mean from the camera
    Vec2<T> slope;       // of the peak's distance, per pixel
    T stiffness;         // log2 of the falloff per squared distance from the peak
};

constexpr double kFlatStiffness = 1e30;   // nothing is seen before the plane of a flat Gaussian

template <class T>
MILO_HD RadeProbe<T> make_probe(const Camera<T>& camera, const Gaussians<T>&, long long, const Placement<T>& at,
                                RadeProbe<T>*) {
    const Projection<T>& r = at.projection;
    const Footprint<T>& f = r.footprint;
    const RayPlane<T> plane = ray_plane(r.axes, r.s, r.clamped.t);
    const T thinnest = smaller(r.s.x, smaller(r.s.y, r.s.z)), z = r.clamped.t.z / length(r.clamped.t);
    RadeProbe<T> probe;
    probe.mean = at.mean;
    probe.falloff = make_falloff(f.conic_a, f.b, f.c, at.opacity);
    probe.distance = length(r.p);
    probe.slope = {plane.slope.x / camera.fx, plane.slope.y / camera.fy};
    const bool flat = !(thinnest * thinnest > T(kFlatVariance));
    probe.stiffness = flat ? T(kFlatStiffness) : T(0.5 / kLn2) * plane.m_ray * z * z / (thinnest * thinnest);
    return probe;
}

template <class T>
MILO_HD GofSplat<T> make_probe(const Camera<T>& camera, const Gaussians<T>& g, long long i, const Placement<T>& at,
                               GofSplat<T>*) {
    return make_gof_splat(camera, {}, g, i, at);
}

template <class T>
MILO_HD Outline<T> probe_outline(const RadeProbe<T>&, const Placement<T>& at) {
    return make_outline(at.mean, at.projection.footprint, at.opacity, T(kWithinPixel));
}
template <class T>
MILO_HD Outline<T> probe_outline(const GofSplat<T>& splat, const Placement<T>& at) {
    return make_gof_outline(splat, at.opacity, T(kWithinPixel));
}

// How far a point at p in view space is: distance for RaDe-GS, depth for GOF.
template <class T>
MILO_HD T reach_of(Vec3<T> p, const RadeProbe<T>*) { return length(p); }
template <class T>
MILO_HD T reach_of(Vec3<T> p, const GofSplat<T>*) { return p.z; }

// log2 of the opacity on the ray through a sample of a pixel.  (dx, dy): mean - sample.
template <class V, class T>
MILO_HD V sample_power(const RadeProbe<T>& probe, V dx, V dy, T) {
    return power(probe.falloff, sheared(probe.falloff, dx, dy), dy);
}
template <class V, class T>
MILO_HD V sample_power(const GofSplat<T>& splat, V dx, V dy, T near_plane) {
    return gof_power(splat, gof_ray(splat, dx, dy), near_plane);
}

// log2 of the opacity at a point.
template <class V, class T>
MILO_HD V point_power(const RadeProbe<T>& probe, V dx, V dy, V reach) {
    const V peak = V(probe.distance) + V(probe.slope.x) * dx + V(probe.slope.y) * dy;
    const V before = larger(peak - reach, V(T(0)));
    return power(probe.falloff, sheared(probe.falloff, dx, dy), dy) - V(probe.stiffness) * before * before;
}
template <class V, class T>
MILO_HD V point_power(const GofSplat<T>& splat, V dx, V dy, V reach) {
    const GofRay<V> ray = gof_ray(splat, dx, dy);
    const T inverse = T(1) / splat.depth;
    const V before = larger(ray.along - V(inverse) * reach, V(T(0)));
    return V(splat.log_opacity) - V(T(0.5 / kLn2)) * (ray.exponent2 + ray.square * before * before);
}

// A point on the image.
template <class T>
struct SeenPoint {
    Vec2<T> at;    // integer-centred pixels
    T reach;
    int x, y;      // pixel; x = -1: not seen
};

template <class Probe, class T>
MILO_HD SeenPoint<T> see_point(const Camera<T>& camera, Vec3<T> world, T near_plane) {
    const Vec3<T> p = camera.to_view(world);
    SeenPoint<T> point = {{T(0), T(0)}, T(0), -1, -1};
    if (!(p.z > near_plane)) return point;
    point.at = project(camera, p);
    point.reach = reach_of(p, static_cast<const Probe*>(nullptr));
    const T column = floor(point.at.x + T(0.5)), row = floor(point.at.y + T(0.5));
    if (!(column >= T(0) && column < T(camera.width) && row >= T(0) && row < T(camera.height))) return point;
    point.x = int(column);
    point.y = int(row);
    return point;
}

// Light that is left behind a Gaussian at a point.
template <class V, class M>
MILO_HD V light_behind(V light, V power, M candidate) {
    const V alpha = smaller(exponential2(power), V(kAlphaMax));
    return select((power >= V(kLog2AlphaMin)) & candidate, light * (V(1) - alpha), light);
}

}  // namespace milo
