// SPDX-License-Identifier: Apache-2.0
// How near the nearest camera is that sees a point.  spec: training.md 2.4
#include <algorithm>
#include <cstdint>

#include "bindings.h"
#include "parallel.h"

namespace {

constexpr float kNeverSeen = 1e5f;

// depth[i] = least view depth of point i over the cameras that see it, kNeverSeen if none does.
// cameras: [C, 18], each the upper three rows of the view matrix (12), fx, fy, cx, cy, width, height.
void least_depth(Array<float> points, Array<float> cameras, float near, Array<float> depth) {
    nb::gil_scoped_release release;
    const int64_t views = cameras.shape(0);
    milo::parallel_for(points.shape(0), 2048, [&](int64_t begin, int64_t end, int) {
        std::fill(depth.data() + begin, depth.data() + end, kNeverSeen);
        for (int64_t view = 0; view < views; ++view) {
            const float* c = cameras.data() + 18 * view;
            const float fx = c[12], fy = c[13], cx = c[14], cy = c[15], width = c[16], height = c[17];
            const float* __restrict p = points.data();
            float* __restrict d = depth.data();
            for (int64_t i = begin; i < end; ++i) {
                const float x = p[3 * i], y = p[3 * i + 1], z = p[3 * i + 2];
                const float view_z = c[8] * x + c[9] * y + c[10] * z + c[11], over = std::max(view_z, 0.001f);
                const float u = fx * (c[0] * x + c[1] * y + c[2] * z + c[3]) / over + cx;
                const float v = fy * (c[4] * x + c[5] * y + c[6] * z + c[7]) / over + cy;
                const bool seen = (view_z > near) & (u >= -0.15f * width) & (u <= 1.15f * width) &
                                  (v >= -0.15f * height) & (v <= 1.15f * height);
                d[i] = seen ? std::min(d[i], view_z) : d[i];
            }
        }
    });
}

}  // namespace

void bind_filter3d(nb::module_& m) {
    m.attr("NEVER_SEEN") = kNeverSeen;
    m.def("least_depth", &least_depth, nb::arg("points"), nb::arg("cameras"), nb::arg("near"), nb::arg("depth"));
}
