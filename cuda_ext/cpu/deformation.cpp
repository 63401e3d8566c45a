// SPDX-License-Identifier: Apache-2.0
// CPU driver of the deformation: Gaussians that follow a surface.
#include <optional>

#include <nanobind/stl/optional.h>

#include "bindings.h"
#include "deformation.h"
#include "harmonics.h"
#include "parallel.h"
#include "rows.h"

namespace milo {
namespace {

template <class T>
using In = Array<const T>;

template <class T>
void decompose_rows(In<T> A, std::optional<In<T>> sign, Array<T> U, Array<T> S, Array<T> V) {
    nb::gil_scoped_release release;
    parallel_for(int64_t(A.shape(0)), 512, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            const Decomposed<T> d = decompose(matrix_at(A.data() + 9 * i), sign ? sign->data()[i] : T(1));
            store_matrix(U.data() + 9 * i, transposed(Mat3<T>{d.u[0], d.u[1], d.u[2]}));
            store3(S.data(), i, d.s);
            store_matrix(V.data() + 9 * i, transposed(Mat3<T>{d.v[0], d.v[1], d.v[2]}));
        }
    });
}

template <class T>
void turn_rows(In<T> sh_rest, In<T> Q, int degree, Array<T> out) {
    nb::gil_scoped_release release;
    const int terms = int(sh_rest.shape(1));
    parallel_for(int64_t(Q.shape(0)), 512, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i)
            turn_harmonics(degree, terms, matrix_at(Q.data() + 9 * i), sh_rest.data() + 3 * terms * i,
                           out.data() + 3 * terms * i);
    });
}

void carry_rows(In<float> gradients, In<uint8_t> gone, In<float> positions, In<int32_t> groups, In<int32_t> verts,
                In<float> share, In<float> residual, In<int32_t> object, In<float> matrices, In<float> opacities,
                Array<float> F, Array<float> means, Array<float> volumes, Array<float> visible) {
    nb::gil_scoped_release release;
    parallel_for(int64_t(object.size()), 1024, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            Footing<float> on;
            for (int k = 0; k < 3; ++k) {
                const int64_t group = groups.data()[3 * i + k];
                on.gradients[k] = matrix_at(gradients.data() + 9 * group);
                on.gone[k] = gone.data()[group] != 0;
                on.corners[k] = load3(positions.data(), verts.data()[3 * i + k]);
            }
            const float* m = matrices.data() + 16 * object.data()[i];
            const Carried<float> carried = carry(on, load3(share.data(), i), load3(residual.data(), i), linear_part(m),
                                                 Vec3<float>{m[3], m[7], m[11]});
            store_matrix(F.data() + 9 * i, carried.F);
            store3(means.data(), i, carried.mean);
            volumes.data()[i] = absolute(determinant(carried.F));
            visible.data()[i] = carried.gone ? 0.0f : opacities.data()[i];
        }
    });
}

void reshape_rows(In<float> F, In<float> unit, In<int32_t> object, In<float> limits, In<float> on_the_whole,
                  In<float> scales, In<float> quats, In<float> sh_rest, int degree, Array<float> new_scales,
                  Array<float> new_quats, Array<float> new_sh_rest) {
    nb::gil_scoped_release release;
    const int terms = int(sh_rest.shape(1));
    const float shrink = 1.0f / *unit.data();
    parallel_for(int64_t(object.size()), 512, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
            const int64_t of = object.data()[i], first = 3 * terms * i;
            const float* q = quats.data() + 4 * i;
            const Reshaped<float> r = reshape(shrink * matrix_at(F.data() + 9 * i), load3(scales.data(), i),
                                              Quat<float>{q[0], q[1], q[2], q[3]}, limits.data()[of],
                                              on_the_whole.data() + 9 * of);
            store3(new_scales.data(), i, r.scales);
            float* to = new_quats.data() + 4 * i;
            to[0] = r.quat.w, to[1] = r.quat.x, to[2] = r.quat.y, to[3] = r.quat.z;
            turn_harmonics(r.same ? 0 : degree, terms, r.Q, sh_rest.data() + first, new_sh_rest.data() + first);
        }
    });
}

template <class T>
void bind(nb::module_& m) {
    m.def("decompose", &decompose_rows<T>, nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg());
    m.def("turn_harmonics", &turn_rows<T>);
}

}  // namespace
}  // namespace milo

void bind_deformation(nb::module_& m) {
    milo::bind<float>(m);
    milo::bind<double>(m);
    m.def("carry", &milo::carry_rows);
    m.def("reshape", &milo::reshape_rows);
}
