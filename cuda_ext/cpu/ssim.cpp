// SPDX-License-Identifier: Apache-2.0
// Two sweeps over strips of rows: the first makes the SSIM map and its three partial derivatives, the second convolves
// those back into the image's gradient.  Each convolution is separable; both directions run along the row, in SIMD.
#include "ssim.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "parallel.h"

namespace milo {
namespace {

constexpr int kReach = 5;                // taps on either side of the centre
constexpr int64_t kStrip = 32;           // rows per task; each strip redoes 2 kReach rows of its neighbours
constexpr double kC1 = 0.01 * 0.01, kC2 = 0.03 * 0.03;

// The window is symmetric: weights by distance from the centre.
template <class T>
constexpr std::array<T, kReach + 1> kWindow = {T(0.26601171493530273), T(0.21300552785396576),
                                               T(0.10936068743467331), T(0.036000773310661316),
                                               T(0.0075987582094967365), T(0.001028380123898387)};

// out[x] = sum over taps of window * row[x + tap]; row has kReach zeros before and after its `width` values.
template <class T>
void convolve_along(const T* __restrict row, int64_t width, T* __restrict out) {
    constexpr auto w = kWindow<T>;
    const T* p = row + kReach;
    for (int64_t x = 0; x < width; ++x)
        out[x] = w[0] * p[x] + w[1] * (p[x - 1] + p[x + 1]) + w[2] * (p[x - 2] + p[x + 2]) +
                 w[3] * (p[x - 3] + p[x + 3]) + w[4] * (p[x - 4] + p[x + 4]) + w[5] * (p[x - 5] + p[x + 5]);
}

// out[x] = sum over taps of window * rows[tap][x], where rows[k] starts k * stride after `first`.
template <class T>
void convolve_across(const T* __restrict first, int64_t stride, int64_t width, T* __restrict out) {
    constexpr auto w = kWindow<T>;
    const T* c = first + kReach * stride;
    for (int64_t x = 0; x < width; ++x) {
        const T* p = c + x;
        out[x] = w[0] * p[0] + w[1] * (p[-stride] + p[stride]) + w[2] * (p[-2 * stride] + p[2 * stride]) +
                 w[3] * (p[-3 * stride] + p[3 * stride]) + w[4] * (p[-4 * stride] + p[4 * stride]) +
                 w[5] * (p[-5 * stride] + p[5 * stride]);
    }
}

template <class T>
void multiply_rows(const T* a, const T* b, int64_t width, T* __restrict out) {
    for (int64_t x = 0; x < width; ++x) out[x] = a[x] * b[x];
}

// Scratch of one strip: `fields` images of kStrip + 2 kReach rows, convolved along; and one padded row per field.
template <class T>
struct Strip {
    Strip(int fields, int64_t width)
        : width(width), along(fields * rows * width), padded(fields * (width + 2 * kReach)), across(fields * width) {}
    static constexpr int64_t rows = kStrip + 2 * kReach;
    int64_t width;
    std::vector<T> along, padded, across;

    T* field_row(int field, int64_t row) { return along.data() + (field * rows + row) * width; }
    T* padded_row(int field) { return padded.data() + field * (width + 2 * kReach) + kReach; }
    // Fill row `row` of every field, from padded rows written by `write`, or with zeros outside the image.
    template <class Write>
    void fill(int fields, int64_t row, bool inside, Write write) {
        if (inside) write();
        for (int f = 0; f < fields; ++f) {
            if (inside)
                convolve_along(padded_row(f) - kReach, width, field_row(f, row));
            else
                std::fill_n(field_row(f, row), width, T(0));
        }
    }
    const T* column_sums(int field, int64_t row) {
        T* out = across.data() + field * width;
        convolve_across(field_row(field, row), width, width, out);
        return out;
    }
};

// One row of the SSIM map from the five windowed sums.
template <class T>
void ssim_row(const T* const* conv, int64_t width, T* __restrict map) {
    const T *__restrict m1 = conv[0], *__restrict m2 = conv[1], *__restrict xx = conv[2], *__restrict yy = conv[3];
    const T* __restrict xy = conv[4];
    for (int64_t i = 0; i < width; ++i) {
        const T squares = m1[i] * m1[i] + m2[i] * m2[i], product = m1[i] * m2[i];
        const T cn = 2 * product + T(kC1), dn = 2 * (xy[i] - product) + T(kC2);
        map[i] = cn * dn / ((squares + T(kC1)) * (xx[i] + yy[i] - squares + T(kC2)));
    }
}

// Its partial derivatives in the mean, the variance and the covariance, times scale.
template <class T>
void ssim_derivatives_row(const T* const* conv, const T* __restrict map, int64_t width, T scale, T* __restrict d_mean,
                          T* __restrict d_var, T* __restrict d_cov) {
    const T *__restrict m1 = conv[0], *__restrict m2 = conv[1], *__restrict xx = conv[2], *__restrict yy = conv[3];
    const T* __restrict xy = conv[4];
    for (int64_t i = 0; i < width; ++i) {
        const T squares = m1[i] * m1[i] + m2[i] * m2[i], product = m1[i] * m2[i];
        const T cn = 2 * product + T(kC1), dn = 2 * (xy[i] - product) + T(kC2);
        const T inv_a = 1 / (squares + T(kC1)), inv_b = 1 / (xx[i] + yy[i] - squares + T(kC2));
        d_mean[i] = 2 * scale * (m2[i] * (dn - cn) * inv_a * inv_b + m1[i] * map[i] * (inv_b - inv_a));
        d_var[i] = -scale * map[i] * inv_b;
        d_cov[i] = 2 * scale * cn * inv_a * inv_b;
    }
}

template <class T>
void gradient_row(const T* __restrict x, const T* __restrict y, const T* __restrict d_mean, const T* __restrict d_var,
                  const T* __restrict d_cov, int64_t width, T l1_scale, T g, T* __restrict grad) {
    for (int64_t i = 0; i < width; ++i) {
        const T sign = (x[i] > y[i] ? T(1) : T(0)) - (x[i] < y[i] ? T(1) : T(0));
        grad[i] = g * (d_mean[i] + 2 * x[i] * d_var[i] + y[i] * d_cov[i] + l1_scale * sign);
    }
}

// Sum of term(i) over a row, in a fixed order that vectorises.
template <class T, class Term>
double sum_row(int64_t width, Term term) {
    constexpr int64_t lanes = 8;
    T sums[lanes] = {};
    int64_t i = 0;
    for (; i + lanes <= width; i += lanes)
        for (int64_t lane = 0; lane < lanes; ++lane) sums[lane] += term(i + lane);
    for (int64_t lane = 0; i < width; ++i, ++lane) sums[lane] += term(i);
    double total = 0;
    for (const T sum : sums) total += double(sum);
    return total;
}

}  // namespace

template <class T>
ImageDistance image_distance(const T* image, const T* target, int64_t channels, int64_t height, int64_t width,
                             double ssim_weight, T* derivatives) {
    const int64_t strips = (height + kStrip - 1) / kStrip, pixels = height * width, count = channels * pixels;
    const T ssim_scale = T(ssim_weight / double(count));
    std::vector<ImageDistance> partial(channels * strips);

    parallel_for(channels * strips, 1, [&](int64_t begin, int64_t end, int) {
        Strip<T> strip(5, width);
        std::vector<T> map(width);
        for (int64_t task = begin; task < end; ++task) {
            const int64_t offset = task / strips * pixels, top = task % strips * kStrip;
            const int64_t bottom = std::min(top + kStrip, height);
            for (int64_t r = top - kReach; r < bottom + kReach; ++r)
                strip.fill(5, r - top + kReach, r >= 0 && r < height, [&] {
                    const T *x = image + offset + r * width, *y = target + offset + r * width;
                    T *px = strip.padded_row(0), *py = strip.padded_row(1), *pxx = strip.padded_row(2);
                    T *pyy = strip.padded_row(3), *pxy = strip.padded_row(4);
                    std::copy_n(x, width, px);
                    std::copy_n(y, width, py);
                    multiply_rows(x, x, width, pxx);
                    multiply_rows(y, y, width, pyy);
                    multiply_rows(x, y, width, pxy);
                });
            ImageDistance sum{};
            for (int64_t r = top; r < bottom; ++r) {
                const T* conv[5];
                for (int f = 0; f < 5; ++f) conv[f] = strip.column_sums(f, r - top);
                const int64_t at = offset + r * width;
                const T *x = image + at, *y = target + at;
                ssim_row(conv, width, map.data());
                sum.l1 += sum_row<T>(width, [&](int64_t i) { return std::abs(x[i] - y[i]); });
                sum.ssim += sum_row<T>(width, [&](int64_t i) { return map[i]; });
                if (derivatives) {
                    T* d = derivatives + at;
                    ssim_derivatives_row(conv, map.data(), width, ssim_scale, d, d + count, d + 2 * count);
                }
            }
            partial[task] = sum;
        }
    });

    ImageDistance mean{};
    for (const ImageDistance& p : partial) mean.l1 += p.l1, mean.ssim += p.ssim;
    return {mean.l1 / double(count), mean.ssim / double(count)};
}

template <class T>
void image_distance_backward(const T* image, const T* target, const T* derivatives, int64_t channels, int64_t height,
                             int64_t width, double l1_weight, T g, T* grad) {
    const int64_t strips = (height + kStrip - 1) / kStrip, pixels = height * width, count = channels * pixels;
    const T l1_scale = T(l1_weight / double(count));
    parallel_for(channels * strips, 1, [&](int64_t begin, int64_t end, int) {
        Strip<T> strip(3, width);
        for (int64_t task = begin; task < end; ++task) {
            const int64_t offset = task / strips * pixels, top = task % strips * kStrip;
            const int64_t bottom = std::min(top + kStrip, height);
            for (int64_t r = top - kReach; r < bottom + kReach; ++r)
                strip.fill(3, r - top + kReach, r >= 0 && r < height, [&] {
                    const T* first = derivatives + offset + r * width;
                    for (int f = 0; f < 3; ++f) std::copy_n(first + f * count, width, strip.padded_row(f));
                });
            for (int64_t r = top; r < bottom; ++r) {
                const T *d_mean = strip.column_sums(0, r - top), *d_var = strip.column_sums(1, r - top);
                const T* d_cov = strip.column_sums(2, r - top);
                const int64_t at = offset + r * width;
                gradient_row(image + at, target + at, d_mean, d_var, d_cov, width, l1_scale, g, grad + at);
            }
        }
    });
}

template ImageDistance image_distance(const float*, const float*, int64_t, int64_t, int64_t, double, float*);
template ImageDistance image_distance(const double*, const double*, int64_t, int64_t, int64_t, double, double*);
template void image_distance_backward(const float*, const float*, const float*, int64_t, int64_t, int64_t, double, float,
                                      float*);
template void image_distance_backward(const double*, const double*, const double*, int64_t, int64_t, int64_t, double,
                                      double, double*);

}  // namespace milo
