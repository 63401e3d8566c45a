// SPDX-License-Identifier: Apache-2.0
// Which tiles and which pixels a footprint can touch.  spec: rasterization.md 1.8, 9.3
#pragma once
#include "covariance.h"

namespace milo {

// Half-open, in tiles.
struct TileRect {
    int x0, x1, y0, y1;
    MILO_HD bool empty() const { return x1 <= x0 || y1 <= y0; }
};

template <class T>
MILO_HD int to_int_within(T value, int low, int high) {   // truncates; NaN becomes low
    return int(clamped(value, T(low), T(high)));
}

template <class T>
MILO_HD T largest_variance(const Footprint<T>& f, T floor) {
    const T mid = T(0.5) * (f.a + f.c);
    return mid + sqrt(larger(mid * mid - f.det, floor));
}

// Geometry raster: the square of 3 sigma is part of the result, since the falloff can still be visible at its border.
template <class T>
MILO_HD TileRect square_rect(const Camera<T>& camera, Vec2<T> mean, const Footprint<T>& f, int& radius) {
    const T r = ceil(T(3) * sqrt(largest_variance(f, T(0.1))));
    radius = to_int_within(r, 0, 1 << 30);
    const int nx = camera.tiles_x(), ny = camera.tiles_y();
    const T tile = kTile;
    return {to_int_within((mean.x - r) / tile, 0, nx), to_int_within((mean.x + r + tile - 1) / tile, 0, nx),
            to_int_within((mean.y - r) / tile, 0, ny), to_int_within((mean.y + r + tile - 1) / tile, 0, ny)};
}

// Training raster: opacity-aware, per axis.  An opacity below 1/255 keeps the widest extent (quirk Q10).
template <class T>
MILO_HD TileRect aware_rect(const Camera<T>& camera, Vec2<T> mean, const Footprint<T>& f, T opacity, int& radius) {
    const T visible = T(2) * log(T(255) * opacity);
    const T extent = visible >= T(0) ? smaller(T(sqrt(visible)), T(3.33)) : T(3.33);
    const T rho = extent * sqrt(largest_variance(f, T(0.01)));
    radius = to_int_within(T(ceil(rho)), 0, 1 << 30);
    if (!(rho > T(0))) return {0, 0, 0, 0};
    const T ex = smaller(T(extent * sqrt(f.a)), rho), ey = smaller(T(extent * sqrt(f.c)), rho);
    const int nx = camera.tiles_x(), ny = camera.tiles_y();
    const T tile = kTile;
    return {to_int_within(T(floor((mean.x - ex) / tile)), 0, nx), to_int_within(T(ceil((mean.x + ex) / tile)), 0, nx),
            to_int_within(T(floor((mean.y - ey) / tile)), 0, ny), to_int_within(T(ceil((mean.y + ey) / tile)), 0, ny)};
}

// For an ellipse about the origin: the interval of one coordinate over a slab of the other.
template <class T>
struct Slab {
    T slope, square, curve;   // centre line, and half width^2 = square - curve v^2
    T extent, turn;           // |v| <= extent; v of the point furthest along +u
};

template <class T>
struct Interval {
    T low, high;
    bool empty;
};

// Variances uu, vv and covariance uv; level set of squared radius tau.
template <class T>
MILO_HD Slab<T> make_slab(T uu, T uv, T vv, T det, T tau) {
    const T iv = T(1) / vv, k = det * iv;
    return {uv * iv, k * tau, k * iv, T(sqrt(tau * vv)), T(uv * sqrt(tau / uu))};
}

template <class T>
MILO_HD Interval<T> interval(const Slab<T>& s, T v_low, T v_high) {
    const T low = larger(v_low, -s.extent), high = smaller(v_high, s.extent);
    const T right = clamped(s.turn, low, high), left = clamped(-s.turn, low, high);
    return {s.slope * left - sqrt(larger(s.square - s.curve * left * left, T(0))),
            s.slope * right + sqrt(larger(s.square - s.curve * right * right, T(0))), !(low <= high)};
}

constexpr double kPixelSlack = 0.01;    // rounding of positions, in pixels
constexpr double kWithinPixel = 0.51;   // the same, when any point of a pixel counts, not its centre alone

// The region where a footprint is visible (alpha >= 1/255), a little enlarged: a superfluous pixel only costs time.
template <class T>
struct alignas(16 * sizeof(T)) Outline {
    T mx, my, slack;   // pixels whose centre is so near the region, along both axes, are touched
    Slab<T> x_of_y, y_of_x;
};

// Squared radius, in standard deviations, within which an opacity of at least 1/255 is visible; a little enlarged.
template <class T>
MILO_HD T visible_square(T opacity) { return T(2) * log(T(255) * opacity) * T(1.0001) + T(1e-3); }

// opacity: as it multiplies the falloff, at least 1/255.
template <class T>
MILO_HD Outline<T> make_outline(Vec2<T> mean, const Footprint<T>& f, T opacity, T slack = T(kPixelSlack)) {
    const T tau = visible_square(opacity);
    return {mean.x, mean.y, slack, make_slab(f.a, f.b, f.c, f.det, tau), make_slab(f.c, f.b, f.a, f.det, tau)};
}

template <class T>
MILO_HD Outline<T> boundless_outline(T slack) {
    const Slab<T> all = {T(0), T(1e12), T(0), T(1e6), T(0)};
    return {T(0), T(0), slack, all, all};
}

template <class T>
MILO_HD Outline<T> empty_outline() {
    const Slab<T> none = {T(0), T(0), T(0), T(-1e6), T(0)};
    return {T(0), T(0), T(0), none, none};
}

// Pixels of one axis of a tile, within [0, kTile); none if first > last.
struct PixelRange {
    int first, last;
};

template <class T>
MILO_HD PixelRange pixels_within(const Interval<T>& i, T shift, T slack) {
    const T low = ceil(i.low + shift - slack), high = floor(i.high + shift + slack);
    // One beyond on either side, so that an interval outside the tile stays empty.
    const int first = to_int_within(low, 0, kTile), last = to_int_within(high, -1, kTile - 1);
    return {first, i.empty ? -1 : last};
}

// Columns touched in the rows of the tile whose first pixel is (x, y).
template <class T>
MILO_HD PixelRange tile_columns(const Outline<T>& o, int x, int y) {
    const T top = T(y) - o.my;
    return pixels_within(interval(o.x_of_y, top - o.slack, top + T(kTile - 1) + o.slack), o.mx - T(x), o.slack);
}

// Rows touched in columns [first, last] of that tile.
template <class T>
MILO_HD PixelRange column_rows(const Outline<T>& o, int x, int y, int first, int last) {
    const T left = T(x) - o.mx;
    return pixels_within(interval(o.y_of_x, left + T(first) - o.slack, left + T(last) + o.slack), o.my - T(y), o.slack);
}

// Cells [first, last) of row `row`, within rect, that the outline meets; cells of `cell` x `cell` pixels, tiles if not
// said otherwise.
template <int cell = kTile, class T>
MILO_HD void row_tiles(const Outline<T>& o, const TileRect& rect, int row, int& first, int& last) {
    const T y = T(row * cell);
    const Interval<T> u = interval(o.x_of_y, y - o.my - o.slack, y + T(cell - 1) - o.my + o.slack);
    first = last = rect.x0;
    if (u.empty) return;
    const T left = (u.low + o.mx - o.slack - T(cell - 1)) / T(cell);
    const T right = (u.high + o.mx + o.slack) / T(cell);
    first = to_int_within(T(ceil(left)), rect.x0, rect.x1);
    last = to_int_within(T(floor(right) + T(1)), rect.x0, rect.x1);
}

}  // namespace milo
