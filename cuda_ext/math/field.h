// SPDX-License-Identifier: Apache-2.0
// Signed distance of an occupancy logit, and the losses on the occupancy itself.  spec: training.md 4.4, 5.4
#pragma once
#include "vec.h"

namespace milo {

constexpr double kHalfRange = 0.495;   // sdf +-1 is occupancy 0.005 / 0.995

template <class T>
MILO_HD T sigmoid(T x) {
    return T(1) / (T(1) + T(exp(-x)));
}

template <class T>
MILO_HD T softplus(T x) {   // ln(1 + e^x)
    return larger(x, T(0)) + T(log1p(exp(x < 0 ? x : -x)));
}

// Positive outside.
template <class T>
MILO_HD T sdf_of(T logit) {
    return (T(0.5) - sigmoid(logit)) / T(kHalfRange);
}

// Cross-entropy against a label; only_occupied: that of pivots labelled occupied alone.
template <class T>
MILO_HD T label_loss(T logit, bool occupied, bool only_occupied) {
    if (only_occupied) return occupied ? softplus(-logit) : T(0);
    return softplus(logit) - (occupied ? logit : T(0));
}

// How far a centre's occupancy is below 1/2.
template <class T>
MILO_HD T center_loss(T logit) {
    return larger(T(0.5) - sigmoid(logit), T(0));
}

// d/dlogit of g_sdf sdf + g_label label_loss + g_center center_loss.
template <class T>
MILO_HD T field_gradient(T logit, bool occupied, bool only_occupied, T g_sdf, T g_label, T g_center) {
    const T s = sigmoid(logit), slope = s * (1 - s);
    T label = s - (occupied ? T(1) : T(0));
    if (only_occupied && !occupied) label = 0;
    return -slope / T(kHalfRange) * g_sdf + label * g_label - (s < T(0.5) ? slope : T(0)) * g_center;
}

// From the sums over centres and over pivots to the weighted losses.
struct FieldFactors {
    double center, label;
};

// occupied: labels that say so; centers: those that count.  The labels' loss is the mean over all pivots, and unless
// only_occupied that times the share of occupied labels (Q12).
MILO_HD FieldFactors field_factors(long long occupied, long long centers, long long pivots, bool only_occupied,
                                   double center_weight, double label_weight) {
    const double share = only_occupied ? 1.0 : static_cast<double>(occupied) / static_cast<double>(pivots);
    return {centers ? center_weight / static_cast<double>(centers) : 0.0, label_weight * share / static_cast<double>(pivots)};
}

// Where the values of Gaussian i of n stand in pivot order: all corners first, then all centres.
MILO_HD long long pivot_place(long long i, int j, long long n) { return j < 8 ? 8 * i + j : 8 * n + i; }

}  // namespace milo
