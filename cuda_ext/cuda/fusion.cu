// SPDX-License-Identifier: Apache-2.0
// Fusion of a depth map at free points, one thread per point.  Spec: training.md, 5.6 and 5.9; extraction, 0.1 and 1.1 F.
#include "common.cuh"
#include "depth_fusion.h"

using namespace milo;

namespace {

struct Place {
    Sighting<double> seen;
    long long pixel;   // the nearest
};

// False if the point does not fall into the image.
__device__ bool place_of(const Scalar* points, long long i, const double* viewmat, const double* K, int height, int width,
                         double near, double far, Place& place) {
    const DepthView<double> view{rigid_motion<double>(viewmat), pinhole<double>(K), height, width, near, far};
    const Vec3<Scalar> p = load3(points, i);
    place.seen = sight(view, {double(p.x), double(p.y), double(p.z)});
    if (!place.seen.inside) return false;
    place.pixel = static_cast<long long>(place.seen.row()) * width + place.seen.column();
    return true;
}

}  // namespace

#define POINTS_AND_VIEW                                                                                          \
    const Scalar *points, int count, const Scalar *depth, int height, int width, const double *viewmat, const double *K, \
        double near, double far

KERNEL fuse_depth(POINTS_AND_VIEW, double truncation, int nearest, Scalar* value, Scalar* weight) {
    const long long i = thread_index();
    Place place;
    if (i >= count || !place_of(points, i, viewmat, K, height, width, near, far, place)) return;
    const double found = nearest ? double(depth[place.pixel])
                                 : bilinear(depth, height, width, place.seen.u, place.seen.v);
    double distance;
    if (!truncated_distance(found, place.seen.z, truncation, distance)) return;
    value[i] = static_cast<Scalar>(running_mean(double(value[i]), double(weight[i]), distance));
    weight[i] += 1;
}

KERNEL fuse_colors(POINTS_AND_VIEW, double truncation, const Scalar* image, Scalar* value, Scalar* weight, Scalar* colors) {
    const long long i = thread_index();
    Place place;
    if (i >= count || !place_of(points, i, viewmat, K, height, width, near, far, place)) return;
    double distance;
    if (!truncated_distance(double(depth[place.pixel]), place.seen.z, truncation, distance)) return;
    const double views = weight[i];
    value[i] = static_cast<Scalar>(running_mean(double(value[i]), views, distance));
    const long long pixels = static_cast<long long>(height) * width;
    for (int c = 0; c < 3; ++c) {
        Scalar& color = colors[3 * i + c];
        const double mean = running_mean(double(color), views, double(image[c * pixels + place.pixel]));
        color = static_cast<Scalar>(clamped(mean, 0.0, 1.0));
    }
    weight[i] += 1;
}

KERNEL carve_labels(POINTS_AND_VIEW, unsigned char* labels) {
    const long long i = thread_index();
    Place place;
    if (i >= count || !place_of(points, i, viewmat, K, height, width, near, far, place)) return;
    const double found = depth[place.pixel];
    if (found > 0 && found - place.seen.z >= 0) labels[i] = 0;
}
