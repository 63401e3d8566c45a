// SPDX-License-Identifier: Apache-2.0
// photo [pixels, 3] and mask [pixels] bytes -> out [3, pixels].  mask may be null: object everywhere.
#include "common.cuh"
#include "composite.h"

using namespace milo;

KERNEL composite(const unsigned char* photo, const unsigned char* mask, const float* background, long long pixels,
                 float* out) {
    const long long p = thread_index();
    if (p >= pixels) return;
    const unsigned char object = mask ? mask[p] : 255;
    for (int c = 0; c < 3; ++c) out[c * pixels + p] = composited(photo[3 * p + c], object, background[c]);
}
