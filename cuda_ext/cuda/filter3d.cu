// SPDX-License-Identifier: Apache-2.0
// How near the nearest camera is that sees a point.  spec: training.md 2.4
#include "common.cuh"

using namespace milo;

namespace {

constexpr int kFields = 18, kChunk = 64;   // cameras in shared memory at a time

}  // namespace

// cameras: [C, 18], each the upper three rows of the view matrix (12), fx, fy, cx, cy, width, height.
// depth[i] = least view depth of point i over the cameras that see it, never_seen if none does.
KERNEL least_depth(const float* points, int count, const float* cameras, int views, float near, float never_seen,
                   float* depth) {
    __shared__ float chunk[kChunk * kFields];
    const long long i = thread_index();
    const bool real = i < count;
    const Vec3<float> p = real ? load3(points, i) : Vec3<float>{0, 0, 0};
    float least = never_seen;
    for (int first = 0; first < views; first += kChunk) {
        const int here = min(kChunk, views - first);
        __syncthreads();
        for (int k = threadIdx.x; k < here * kFields; k += blockDim.x) chunk[k] = cameras[first * kFields + k];
        __syncthreads();
        for (int view = 0; view < here; ++view) {
            const float* c = chunk + kFields * view;
            const float z = c[8] * p.x + c[9] * p.y + c[10] * p.z + c[11], over = larger(z, 0.001f);
            const float u = c[12] * (c[0] * p.x + c[1] * p.y + c[2] * p.z + c[3]) / over + c[14];
            const float v = c[13] * (c[4] * p.x + c[5] * p.y + c[6] * p.z + c[7]) / over + c[15];
            const bool seen = z > near && u >= -0.15f * c[16] && u <= 1.15f * c[16] && v >= -0.15f * c[17] &&
                              v <= 1.15f * c[17];
            if (seen) least = smaller(least, z);
        }
    }
    if (real) depth[i] = least;
}
