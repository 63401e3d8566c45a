// SPDX-License-Identifier: Apache-2.0
// Scatter-add of gradient rows to vertices, the same to the bit for any number of threads and without atomics: rows are
// kept per band of work and per owner (a set of vertices); an owner then adds its rows in the order of the bands.
#pragma once
#include <cstdint>
#include <vector>

#include "parallel.h"
#include "vec.h"

namespace milo {

template <class T>
class VertexSums {
public:
    // rows_per_band: how many rows to expect, for memory alone.
    VertexSums(int64_t bands, int width, int64_t rows_per_band)
        : width_(width), bands_(bands), expected_(rows_per_band) {
        while (owners_ < num_threads() && owners_ < 16) owners_ *= 2;
        expected_ += expected_ / 4;   // owners do not get exactly the same share
        rows_.resize(bands * owners_);
    }

    // A band is filled by one thread at a time.
    template <class S>
    void add(int64_t band, int32_t vertex, const S* row) {
        Rows& rows = rows_[band * owners_ + ((vertex >> 6) & (owners_ - 1))];
        if (rows.vertex.empty()) {
            rows.vertex.reserve(expected_ / owners_);
            rows.value.reserve(expected_ / owners_ * width_);
        }
        rows.vertex.push_back(vertex);
        for (int c = 0; c < width_; ++c) rows.value.push_back(static_cast<T>(row[c]));
    }
    void add(int64_t band, int32_t vertex, Vec3<double> row) { add(band, vertex, &row.x); }

    // sums [V, width] is added to.
    void into(T* sums) const {
        parallel_for(owners_, 1, [&](int64_t begin, int64_t end, int) {
            for (int64_t owner = begin; owner < end; ++owner)
                for (int64_t band = 0; band < bands_; ++band) {
                    const Rows& rows = rows_[band * owners_ + owner];
                    const T* value = rows.value.data();
                    for (const int32_t vertex : rows.vertex) {
                        T* sum = sums + int64_t(vertex) * width_;
                        for (int c = 0; c < width_; ++c) sum[c] += *value++;
                    }
                }
        });
    }

private:
    struct Rows {
        std::vector<int32_t> vertex;
        std::vector<T> value;
    };
    int width_;
    int64_t bands_, expected_;
    int owners_ = 1;
    std::vector<Rows> rows_;
};

}  // namespace milo
