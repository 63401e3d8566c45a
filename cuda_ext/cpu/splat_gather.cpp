// SPDX-License-Identifier: Apache-2.0
// Backward pass per Gaussian: its sums over tiles are added in a fixed order, then carried back to its parameters.
#include "lanes.h"
#include "splat_project.h"

namespace milo {

template <Raster raster, class T>
void gather_gradients(const Camera<T>& camera, const Gaussians<T>& g, T kappa, const Binning& bins, const T* sums,
                      const GaussianGrads<T>& out) {
    const Vec3<T> camera_centre = camera.centre();
    constexpr int kAhead = 16;   // the sums of a Gaussian lie far apart
    const int32_t* end = bins.instance_of.data() + bins.instances();
    for_each_sum(bins, g.count, [&](int64_t i, const int32_t* first, const int32_t* last) {
        if (first == last) return write_no_gradients(out, i, g.rest);
        T total[kSums] = {};
        for (; first != last; ++first) {
            MILO_PREFETCH(sums + int64_t(kSums) * first[end - first > kAhead ? kAhead : 0]);
            const T* sum = sums + int64_t(kSums) * *first;
            for (int k = 0; k < kSums; ++k) total[k] += sum[k];
        }
        backward_to_gaussian<raster>(camera, camera_centre, g, kappa, i, total, out);
    });
}

#define MILO_GATHER(raster, T)                                                                                 \
    template void gather_gradients<raster>(const Camera<T>&, const Gaussians<T>&, T, const Binning&, const T*, \
                                           const GaussianGrads<T>&);
MILO_GATHER(Raster::training, float)
MILO_GATHER(Raster::training, double)
MILO_GATHER(Raster::geometry, float)
MILO_GATHER(Raster::geometry, double)
MILO_GATHER(Raster::gof, float)
MILO_GATHER(Raster::gof, double)

}  // namespace milo
