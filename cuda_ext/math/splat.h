// SPDX-License-Identifier: Apache-2.0
// From a Gaussian in the world to its splat on the image.  spec: rasterization.md 1.4 - 1.8, 1.13, 2.1
#pragma once
#include "blend.h"
#include "extent.h"
#include "rade.h"
#include "sh.h"

namespace milo {

template <class T>
struct Gaussians {
    long long count;
    const T *means, *scales, *quats, *opacities;   // [N,3] [N,3] [N,4] [N]
    const T *sh_dc, *sh_rest;                      // [N,3] [N,rest,3]; null where no colour is asked for
    int rest, sh_degree;
    const bool* cull;                              // [N] or null: true = ignore
};

// What a pixel needs to know of a Gaussian: one cache line in float.
template <class T>
struct alignas(16 * sizeof(T)) Splat {
    Vec2<T> mean;
    Falloff<T> falloff;
    Vec3<T> colour;
    // geometry raster only
    T distance;                // of the mean from the camera
    Vec2<T> slope;             // of the distance, per pixel
    Vec3<T> normal;
};

template <class T>
MILO_HD T splat_distance(const Splat<T>& splat, T dx, T dy) {   // at a pixel, (dx, dy) = mean - pixel
    return splat.distance + splat.slope.x * dx + splat.slope.y * dy;
}

constexpr double kTrainLowPass = 0.3;   // pixels^2

template <class T>
MILO_HD Vec3<T> vec3_at(const T* values, long long i) { return {values[3 * i], values[3 * i + 1], values[3 * i + 2]}; }
template <class T>
MILO_HD Quat<T> quat_at(const T* values, long long i) {
    return {values[4 * i], values[4 * i + 1], values[4 * i + 2], values[4 * i + 3]};
}

// Everything between a Gaussian's parameters and its splat; computed again, not stored, for the backward pass.
template <class T>
struct Projection {
    Vec3<T> p, s;
    ClampedMean<T> clamped;
    Mat3<T> axes;              // columns, in the view frame
    Jacobian<T> jacobian;
    Footprint<T> footprint;
};

template <class T>
MILO_HD Projection<T> project_gaussian(const Camera<T>& camera, const Gaussians<T>& g, long long i, Vec3<T> p,
                                       T kappa) {
    Projection<T> r;
    r.p = p;
    r.s = vec3_at(g.scales, i);
    r.clamped = clamp_mean(camera, p);
    r.axes = camera.R * rotation(normalised(quat_at(g.quats, i)));
    r.jacobian = jacobian(camera, r.clamped.t);
    r.footprint = footprint(r.jacobian, r.axes, r.s, kappa);
    return r;
}

template <class T>
struct SeenColour {
    Vec3<T> direction, unclamped;
    T distance;
};

template <class T>
MILO_HD SeenColour<T> seen_colour(const Gaussians<T>& g, long long i, Vec3<T> camera_centre) {
    SeenColour<T> c;
    const Vec3<T> offset = vec3_at(g.means, i) - camera_centre;
    c.distance = length(offset);
    c.direction = (T(1) / c.distance) * offset;
    c.unclamped = sh_colour(g.sh_degree, c.direction, g.sh_dc + 3 * i, g.sh_rest + 3LL * g.rest * i);
    return c;
}

template <class T>
MILO_HD Vec3<T> clamped_colour(Vec3<T> c) { return {larger(c.x, T(0)), larger(c.y, T(0)), larger(c.z, T(0))}; }

// Where a Gaussian stands on the image.
template <class T>
struct Placement {
    Projection<T> projection;
    Vec2<T> mean;
    T opacity;      // as it multiplies the falloff
    TileRect rect;
    int radius;     // pixels, 0 = not seen
    bool drawn;     // false: only the radius is defined
};

// geometry: with the opacity compensation and the square rectangle of that raster.
template <bool geometry, class T>
MILO_HD Placement<T> place_gaussian(const Camera<T>& camera, const Gaussians<T>& g, long long i, T low_pass,
                                    T near_plane) {
    Placement<T> at;
    at.radius = 0;
    at.drawn = false;
    if (g.cull && g.cull[i]) return at;
    const Vec3<T> p = camera.to_view(vec3_at(g.means, i));
    if (!(p.z > near_plane)) return at;
    at.projection = project_gaussian(camera, g, i, p, low_pass);
    const Footprint<T>& f = at.projection.footprint;
    if (!f.valid) return at;
    at.mean = project(camera, p);
    at.opacity = geometry ? g.opacities[i] * f.compensation : g.opacities[i];
    int radius;
    at.rect = geometry ? square_rect(camera, at.mean, f, radius) : aware_rect(camera, at.mean, f, at.opacity, radius);
    if (at.rect.empty()) return at;
    at.radius = radius;
    at.drawn = at.opacity >= T(kAlphaMin);   // a fainter one counts as seen all the same (quirk Q10)
    return at;
}

// Of a Gaussian that is drawn.  The colour is left undefined where sh_dc is null.
template <bool geometry, class T>
MILO_HD Splat<T> make_splat(const Camera<T>& camera, Vec3<T> camera_centre, const Gaussians<T>& g, long long i,
                            const Placement<T>& at) {
    const Projection<T>& r = at.projection;
    Splat<T> splat;
    splat.mean = at.mean;
    splat.falloff = make_falloff(r.footprint.conic_a, r.footprint.b, r.footprint.c, at.opacity);
    if (g.sh_dc) splat.colour = clamped_colour(seen_colour(g, i, camera_centre).unclamped);
    if (geometry) {
        const RayPlane<T> plane = ray_plane(r.axes, r.s, r.clamped.t);
        splat.distance = length(r.p);
        splat.slope = {plane.slope.x / camera.fx, plane.slope.y / camera.fy};
        splat.normal = plane.normal;
    }
    return splat;
}

// On the ray (X, Y, 1) t the Gaussian is densest at t = (r . b)/(r . Q r), Q its inverse covariance in the view frame
// up to a factor, b = Q p.  spec: rasterization.md 5.4
template <class T>
struct Peak {
    Mat3<T> axes;
    Vec3<T> weight, b;

    MILO_HD T depth(Vec3<T> ray) const {
        const Vec3<T> along = transposed_times(axes, ray);
        return dot(ray, b) / dot(weight * along, along);
    }
};

template <class T>
MILO_HD Peak<T> make_peak(const Camera<T>& camera, const Gaussians<T>& g, long long i) {
    Peak<T> peak;
    const Vec3<T> p = camera.to_view(vec3_at(g.means, i)), s = vec3_at(g.scales, i);
    const T thinnest = larger(smaller(s.x, smaller(s.y, s.z)), T(1e-30));
    const Vec3<T> w = {thinnest / larger(s.x, thinnest), thinnest / larger(s.y, thinnest),
                       thinnest / larger(s.z, thinnest)};
    peak.weight = w * w;
    peak.axes = camera.R * rotation(normalised(quat_at(g.quats, i)));
    peak.b = peak.axes * (peak.weight * transposed_times(peak.axes, p));
    return peak;
}

// Direction with z = 1 of the ray through the centre of pixel (i, j).
template <class T>
MILO_HD Vec3<T> pixel_direction(const Camera<T>& camera, int i, int j) {
    return {(T(i) + T(0.5) - camera.cx) / camera.fx, (T(j) + T(0.5) - camera.cy) / camera.fy, T(1)};
}

}  // namespace milo
