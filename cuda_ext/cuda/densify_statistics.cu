// SPDX-License-Identifier: Apache-2.0
// One thread per Gaussian.  spec: training.md 3.3, 3.5
#include "common.cuh"
#include "densify_statistics.h"

using namespace milo;

KERNEL add_render_statistics(const float* screen_grad, const int* radii, const int* area_max, const float* factor,
                             float blur_area, int count, float* gradient, float* drawn, float* absolute,
                             unsigned char* blurred) {
    const long long i = thread_index();
    if (i < count)
        add_render({gradient, drawn, absolute, blurred}, i, screen_grad, radii, area_max, factor, blur_area);
}
