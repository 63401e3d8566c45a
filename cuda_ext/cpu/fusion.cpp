// SPDX-License-Identifier: Apache-2.0
// Spec: training.md, 5.6 and 5.9; extraction, 0.1 and 1.1 F.
#include "fusion.h"

#include <algorithm>

#include "parallel.h"

namespace milo {
namespace {

// Calls use(i, sighting) for each point that falls into the image.
template <class T, class Use>
void each_sighting(const FusionPoints<T>& in, const Use& use) {
    parallel_for(in.count, 8192, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            const T* p = in.points + 3 * i;
            const Sighting<double> seen = sight(in.view, {double(p[0]), double(p[1]), double(p[2])});
            if (seen.inside) use(i, seen);
        }
    });
}

template <class T>
int64_t nearest_pixel(const FusionPoints<T>& in, const Sighting<double>& seen) {
    return int64_t(seen.row()) * in.view.width + seen.column();
}

}  // namespace

template <class T>
void fuse_depth(const FusionPoints<T>& in, double truncation, bool nearest, T* value, T* weight) {
    each_sighting(in, [&](int64_t i, const Sighting<double>& seen) {
        const double depth = nearest ? double(in.depth[nearest_pixel(in, seen)])
                                     : bilinear(in.depth, in.view.height, in.view.width, seen.u, seen.v);
        double distance;
        if (!truncated_distance(depth, seen.z, truncation, distance)) return;
        value[i] = static_cast<T>(running_mean(double(value[i]), double(weight[i]), distance));
        weight[i] += 1;
    });
}

template <class T>
void fuse_colors(const FusionPoints<T>& in, double truncation, const T* image, T* value, T* weight, T* colors) {
    const int64_t pixels = int64_t(in.view.height) * in.view.width;
    each_sighting(in, [&](int64_t i, const Sighting<double>& seen) {
        const int64_t pixel = nearest_pixel(in, seen);
        double distance;
        if (!truncated_distance(double(in.depth[pixel]), seen.z, truncation, distance)) return;
        value[i] = static_cast<T>(running_mean(double(value[i]), double(weight[i]), distance));
        for (int c = 0; c < 3; ++c) {
            T& color = colors[3 * i + c];
            const double mean = running_mean(double(color), double(weight[i]), double(image[c * pixels + pixel]));
            color = static_cast<T>(std::clamp(mean, 0.0, 1.0));
        }
        weight[i] += 1;
    });
}

template <class T>
void carve_labels(const FusionPoints<T>& in, uint8_t* labels) {
    each_sighting(in, [&](int64_t i, const Sighting<double>& seen) {
        const double depth = in.depth[nearest_pixel(in, seen)];
        if (depth > 0 && depth - seen.z >= 0) labels[i] = 0;
    });
}

#define MILO_INSTANTIATE(T)                                                               \
    template void fuse_depth(const FusionPoints<T>&, double, bool, T*, T*);               \
    template void fuse_colors(const FusionPoints<T>&, double, const T*, T*, T*, T*);      \
    template void carve_labels(const FusionPoints<T>&, uint8_t*);
MILO_INSTANTIATE(float)
MILO_INSTANTIATE(double)
#undef MILO_INSTANTIATE

}  // namespace milo
