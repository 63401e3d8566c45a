// SPDX-License-Identifier: Apache-2.0
// Walking the pixels of a face image.
#pragma once
#include <algorithm>

#include "parallel.h"
#include "triangles.h"

namespace milo {

// The face of the current pixel, set up once for neighbouring pixels that share it.
template <class T>
class CurrentFace {
public:
    explicit CurrentFace(const SeenMesh<T>& mesh) : mesh_(mesh) {}

    void turn_to(int32_t id) {
        if (id == id_) return;
        corners = mesh_.corners(id);
        triangle = mesh_.triangle(corners);
        id_ = id;
    }
    const int32_t* corners = nullptr;
    Triangle<double> triangle{};

private:
    const SeenMesh<T>& mesh_;
    int32_t id_ = -1;
};

// Calls covered(p, face, ray) or empty(p) for each pixel p, flat index.
template <class T, class Covered, class Empty>
void each_pixel(const SeenMesh<T>& mesh, FaceImage image, const Covered& covered, const Empty& empty) {
    parallel_for(image.height, kBandRows, [&](int64_t begin, int64_t end, int) {
        CurrentFace<T> face(mesh);
        for (int64_t row = begin; row < end; ++row)
            for (int column = 0; column < image.width; ++column) {
                const int64_t p = row * image.width + column;
                if (image.id[p] < 0) {
                    empty(p);
                    continue;
                }
                face.turn_to(image.id[p]);
                covered(p, face, pixel_ray(mesh.lens, double(column), double(row)));
            }
    });
}

// Calls pixel(p, face, ray, sum) for each covered pixel, and flush(band, face, sum) once for each run of pixels in a
// band that show one face.
template <class Sum, class T, class Pixel, class Flush>
void each_run(const SeenMesh<T>& mesh, FaceImage image, const Pixel& pixel, const Flush& flush) {
    parallel_for(num_bands(image.height), 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t band = begin; band < end; ++band) {
            CurrentFace<T> face(mesh);
            Sum sum{};
            int32_t id = -1;
            const int64_t first = band * kBandRows * image.width;
            const int64_t last = std::min((band + 1) * kBandRows, int64_t(image.height)) * image.width;
            for (int64_t p = first; p < last; ++p) {
                if (image.id[p] < 0) continue;
                if (image.id[p] != id && id >= 0) {
                    flush(band, face, sum);
                    sum = Sum{};
                }
                id = image.id[p];
                face.turn_to(id);
                pixel(p, face, pixel_ray(mesh.lens, double(p % image.width), double(p / image.width)), sum);
            }
            if (id >= 0) flush(band, face, sum);
        }
    });
}

}  // namespace milo
