// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "bindings.h"
#include "parallel.h"
#include "triangle_tree.h"

namespace {

constexpr int64_t kGrain = 256;

// All faces as close as the closest one, up to `slack` [N]: how many each point has, then face and shares of each.
nb::tuple closest_on_mesh(Array<float> points, Array<float> verts, Array<int32_t> faces, Array<float> slack) {
    const int64_t count = points.shape(0);
    std::vector<int32_t> counts(count), face;
    std::vector<float> share;
    {
        nb::gil_scoped_release release;
        const milo::TriangleTree tree(verts.data(), faces.data(), faces.shape(0));
        std::vector<std::vector<milo::SurfacePoint>> found((count + kGrain - 1) / kGrain);   // one for each chunk
        milo::parallel_for(int64_t(found.size()), 1, [&](int64_t begin, int64_t end, int) {
            for (int64_t chunk = begin; chunk < end; ++chunk)
                for (int64_t i = chunk * kGrain; i < std::min(count, (chunk + 1) * kGrain); ++i) {
                    const float* p = points.data() + 3 * i;
                    const double query[3] = {p[0], p[1], p[2]};
                    const milo::SurfacePoint best = tree.nearest(query);
                    const size_t before = found[chunk].size();
                    if (slack.data()[i] >= 0)
                        tree.within(query, std::sqrt(best.dist2) * (1 + 1e-12) + slack.data()[i], found[chunk]);
                    else
                        found[chunk].push_back(best);
                    counts[i] = int32_t(found[chunk].size() - before);
                }
        });
        size_t total = 0;
        for (const auto& part : found) total += part.size();
        face.reserve(total), share.reserve(3 * total);
        for (const auto& part : found)
            for (const milo::SurfacePoint& hit : part) {
                face.push_back(hit.face);
                for (double s : hit.share) share.push_back(float(s));
            }
    }
    const size_t total = face.size();
    return nb::make_tuple(to_numpy(std::move(counts), {size_t(count)}), to_numpy(std::move(face), {total}),
                          to_numpy(std::move(share), {total, 3}));
}

}  // namespace

void bind_closest(nb::module_& m) {
    m.def("closest_on_mesh", &closest_on_mesh, nb::arg("points"), nb::arg("verts"), nb::arg("faces"), nb::arg("slack"));
}
