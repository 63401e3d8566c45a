// SPDX-License-Identifier: Apache-2.0
// What a training render tells about a Gaussian, for densification.  spec: training.md 3.3, 3.5
#pragma once
#include "vec.h"

namespace milo {

struct DensifyStatistics {
    float *gradient, *drawn, *absolute;   // [N] sums over the renders that drew it
    unsigned char* blurred;               // [N] bool
};

// area_max: [N] or null: the render was one of geometry.  factor: [N] or null.
MILO_HD void add_render(const DensifyStatistics& to, long long i, const float* screen_grad, const int* radii,
                        const int* area_max, const float* factor, float blur_area) {
    if (radii[i] <= 0) return;
    const float x = screen_grad[3 * i], y = screen_grad[3 * i + 1];
    const float norm = sqrt(x * x + y * y);
    to.gradient[i] += factor ? norm * factor[i] : norm;
    to.drawn[i] += 1.0f;
    if (!area_max)
        to.absolute[i] += screen_grad[3 * i + 2];
    else if (static_cast<float>(area_max[i]) > blur_area)
        to.blurred[i] = 1;
}

}  // namespace milo
