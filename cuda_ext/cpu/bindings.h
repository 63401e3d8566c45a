// SPDX-License-Identifier: Apache-2.0
// What each binding file needs: array types, and the list of op groups.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

namespace nb = nanobind;

// A contiguous CPU array that the caller owns.  Shapes are checked in Python, where the message can name the argument.
template <class T>
using Array = nb::ndarray<T, nb::device::cpu, nb::c_contig>;

// Hand a std::vector or a Buffer over to Python without a copy, as a numpy array of the given shape.
template <class Owner>
auto to_numpy(Owner&& values, std::initializer_list<size_t> shape) {
    static_assert(!std::is_reference_v<Owner>, "move it here");
    using T = std::remove_pointer_t<decltype(values.data())>;
    auto* owned = new Owner(std::move(values));
    nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<Owner*>(p); });
    return nb::ndarray<nb::numpy, T>(owned->data(), shape, owner);
}

void bind_parallel(nb::module_& m);
void bind_splats(nb::module_& m);
void bind_triangles(nb::module_& m);
void bind_tets(nb::module_& m);
void bind_delaunay(nb::module_& m);
void bind_fusion(nb::module_& m);
void bind_ssim(nb::module_& m);
void bind_adam(nb::module_& m);
void bind_neighbours(nb::module_& m);
void bind_filter3d(nb::module_& m);
void bind_depth_normals(nb::module_& m);
void bind_launch(nb::module_& m);
void bind_pivots(nb::module_& m);
void bind_mesh_losses(nb::module_& m);
void bind_activation(nb::module_& m);
void bind_composite(nb::module_& m);
void bind_densify_statistics(nb::module_& m);
void bind_closest(nb::module_& m);
void bind_deformation(nb::module_& m);
void bind_surface_gradients(nb::module_& m);
