# SPDX-License-Identifier: Apache-2.0
"""The rasterisers of Gaussians on the GPU.

Gaussians are placed on cells of 8 x 8 pixels; each cell's list is sorted by depth and blended by one warp. The
backward pass writes one row of sums per pair (Gaussian, cell) and adds each Gaussian's rows in a fixed order: no atomic
additions of floats, so that equal inputs give equal bits.

One wait for the GPU per forward pass: the number of pairs decides the size of their arrays.
"""

from __future__ import annotations

import struct

import torch
from torch import Tensor

from .runtime import blocks, carve, load

_CELL = 8           # pixels, kCell of splat_cell.cuh
_CELL_WARPS = 2     # kCellWarps
_LIST_LANES = 8     # kListLanes of splat_place.cu
_SORT_BLOCK = 128   # kSortBlock of splat_sort.cu
_SUMS = 16          # kSums of splat_backward.h
_SPLAT = 16         # scalars of a Splat, and of an Outline


class PlacedScene:
    """Gaussians on the cells of an image; then, once somebody knows how many pairs there are, the cells' lists.

    Attributes:
        count: [1] int32 on the GPU, the number of pairs (Gaussian, cell).
    """

    def __init__(self, place: str, gaussians: tuple, viewmat: Tensor, K: Tensor, height: int, width: int,
                 options: tuple, radii: Tensor):  # fmt: skip
        """place: the kernel; gaussians: its arguments before the camera, options: those after the image's size."""
        self.means, self.viewmat, self.K, self.height, self.width = gaussians[0], viewmat, K, height, width
        count, device = len(self.means), self.means.device
        self.cells_x, cells_y = -(-width // _CELL), -(-height // _CELL)
        self.cells = self.cells_x * cells_y
        wide = self.means.element_size()
        self._room, (self.touched, self.first_slot, self.begin, self.end, self.splats) = carve(
            device, 4 * count, 4 * count, 4 * self.cells, 4 * self.cells, _SPLAT * wide * count
        )
        self._keys_room, self._for_lists = carve(device, wide * count, 16 * count, _SPLAT * wide * count)
        counters = torch.zeros(2 + cells_y * (self.cells_x + 1), dtype=torch.int32, device=device)
        self.count, listed, steps = counters[:1], counters.data_ptr() + 4, counters.data_ptr() + 8
        placed = struct.pack("7P", radii.data_ptr(), self.touched, self.first_slot, self.splats, *self._for_lists)
        kernels = self._kernels("splat_place.cu")
        kernels.launch(
            place, blocks(count, 128), 128, *gaussians, viewmat, K, width, height, *options, placed, counters, steps
        )
        kernels.launch(
            "begin_cells", blocks(32 * cells_y, 128), 128, steps, self.cells_x, cells_y, listed, self.begin, self.end
        )

    def list_pairs(self, pairs: int | None = None) -> None:
        """Make the cells' lists. pairs: the number of pairs; None waits for the GPU and reads it."""
        count = len(self.means)
        self.num_pairs = int(self.count) if pairs is None else pairs
        column, wide = 4 * self.num_pairs, self.means.element_size() * self.num_pairs
        room, (gaussian, slot, keys) = carve(self.means.device, column, column, wide)
        self._kernels("splat_place.cu").launch(
            "list_cells", blocks(_LIST_LANES * count, 128), 128, self.touched, self.first_slot, *self._for_lists, count,
            self.cells_x, self.end, keys, gaussian, slot,
        )  # fmt: skip
        self._kernels("splat_sort.cu").launch(
            "sort_cells", self.cells, _SORT_BLOCK, self.begin, self.end, keys, gaussian, slot
        )
        self._keys_room, self._lists_room = None, room
        self._cells = struct.pack("4P", self.begin, self.end, gaussian, slot)

    def _kernels(self, source: str):
        return load(source, self.means.device, self.means.dtype)

    def blend(self, source: str, kernel: str, *args) -> None:
        """One warp per cell. args: behind the cells and the splats."""
        grid = blocks(self.cells, _CELL_WARPS)
        self._kernels(source).launch(kernel, grid, 32 * _CELL_WARPS, *self.lists(), *args)

    def lists(self) -> tuple:
        """The cells and the splats, as kernels take them."""
        return self._cells, self.splats

    def slots(self) -> Tensor:
        return self.means.new_empty(self.num_pairs, _SUMS)

    def gradients(self, kernel: str, slots: Tensor, gaussians: tuple, sh_degree: int, options: tuple, grads) -> None:
        """From sums by slot to the gradients of the parameters."""
        count, kernels = len(self.means), self._kernels("splat_gather.cu")
        threads = 64
        shared = threads * 3 * gaussians[5].shape[1] * slots.element_size()   # a row of spherical harmonics a thread
        totals = self.means.new_empty(count, _SUMS)
        kernels.launch(
            "add_slots", blocks(32 * count, 256), 256, self.first_slot, self.touched, slots, count, totals
        )
        kernels.launch(
            kernel, blocks(count, threads), threads, *counted(gaussians, sh_degree), self.touched, totals,
            self.viewmat, self.K, self.width, self.height, *options, *grads, shared=shared,
        )  # fmt: skip


def counted(gaussians: tuple, sh_degree: int = 0) -> tuple:
    """Arrays and sizes of Gaussians as kernels take them; without colours if there are only four arrays."""
    if len(gaussians) == 4:
        return (*gaussians, None, None, len(gaussians[0]), 0, 0)
    return (*gaussians, len(gaussians[0]), gaussians[5].shape[1], sh_degree)


def place_geometry(
    means, scales, quats, opacities, sh_dc, sh_rest, sh_degree, viewmat, K, height, width, kernel_size, near, radii
):
    """The Gaussians as GeometryFrame.render takes them."""
    gaussians = counted((means, scales, quats, opacities, sh_dc, sh_rest), sh_degree)
    return PlacedScene("place_geometry", gaussians, viewmat, K, height, width, (kernel_size, near), radii)


class GeometryFrame:
    """Forward pass of the geometry raster, and what its backward pass needs."""

    @classmethod
    def render(cls, scene, pairs, background, kernel_size, image, alpha, expected_depth, median_depth, normal):
        frame = cls()
        frame.kernel_size, frame.scene = kernel_size, scene
        pixels = alpha.numel()
        frame.room, frame.maps = carve(image.device, *2 * [pixels * image.element_size()], *2 * [4 * pixels])
        scene.list_pairs(pairs)
        scene.blend(
            "splat_geometry.cu", "blend_geometry", scene.viewmat, scene.K, background, scene.width, scene.height, image,
            alpha, expected_depth, median_depth, normal, *frame.maps,
        )  # fmt: skip
        return frame

    def backward(
        self, means, scales, quats, opacities, sh_dc, sh_rest, sh_degree, image, alpha, expected_depth, median_depth,
        normal, g_image, g_alpha, g_expected_depth, g_median_depth, g_normal, *grads,
    ):  # fmt: skip
        scene, slots = self.scene, self.scene.slots()
        absolute = grads[6] is not None   # the gradient of screen_grad
        view = (scene.viewmat, scene.K, scene.width, scene.height)
        transmittance, normal_length, median_at, drawn_end = self.maps
        if g_normal is None:
            scene.blend(
                "splat_geometry.cu", "blend_colour_backward", *view, image, transmittance, drawn_end, g_image, g_alpha,
                absolute, slots,
            )  # fmt: skip
        else:
            scene.blend(
                "splat_geometry.cu", "blend_geometry_backward", *view, image, expected_depth, normal, transmittance,
                normal_length, median_at, drawn_end, g_image, g_alpha, g_expected_depth, g_median_depth, g_normal,
                absolute, slots,
            )  # fmt: skip
        gaussians = (means, scales, quats, opacities, sh_dc, sh_rest)
        scene.gradients("geometry_gradients", slots, gaussians, sh_degree, (self.kernel_size,), grads)


class TrainFrame:
    """Forward pass of the training raster, and what its backward pass needs."""

    @classmethod
    def render(
        cls, means, scales, quats, opacities, sh_dc, sh_rest, sh_degree, cull, viewmat, K, height, width, background,
        near, image, radii, area_max,
    ):  # fmt: skip
        frame = cls()
        frame.drawn_end = torch.empty_like(image[0], dtype=torch.int32)
        area_max.zero_()
        gaussians = (means, scales, quats, opacities, sh_dc, sh_rest)
        frame.scene = scene = _train_scene(
            counted(gaussians, sh_degree), cull, viewmat, K, height, width, near, False, radii
        )
        scene.blend("splat_train.cu", "blend_train", background, width, height, image, frame.drawn_end, area_max)
        return frame

    def backward(self, means, scales, quats, opacities, sh_dc, sh_rest, sh_degree, image, g_image, *grads):
        scene, slots = self.scene, self.scene.slots()
        scene.blend(
            "splat_train.cu", "blend_train_backward", scene.width, scene.height, image, self.drawn_end, g_image, slots
        )
        gaussians = (means, scales, quats, opacities, sh_dc, sh_rest)
        scene.gradients("train_gradients", slots, gaussians, sh_degree, (), grads)


def splat_stats(
    means, scales, quats, opacities, cull, viewmat, K, height, width, near, radii, accum_weights, area_proj, area_max
):
    gaussians = counted((means, scales, quats, opacities))
    scene = _train_scene(gaussians, cull, viewmat, K, height, width, near, False, radii)
    weights = means.new_zeros(scene.num_pairs)
    area_proj.zero_()
    area_max.zero_()
    scene.blend("splat_train.cu", "blend_stats", width, height, weights, area_proj, area_max)
    count = len(means)
    load("splat_gather.cu", means.device, means.dtype).launch(
        "add_weights", blocks(count, 128), 128, scene.first_slot, scene.touched, weights, count, accum_weights
    )


def splat_depth(
    means, scales, quats, opacities, cull, viewmat, K, height, width, near, index, points, depth, transmittance
):
    gaussians = counted((means, scales, quats, opacities))
    radii = torch.empty(len(means), dtype=torch.int32, device=means.device)
    scene = _train_scene(gaussians, cull, viewmat, K, height, width, near, True, radii)
    scene.blend(
        "splat_train.cu", "blend_depth", means, scales, quats, len(means), viewmat, K, width, height, index, points,
        depth, transmittance,
    )  # fmt: skip


def _train_scene(gaussians, cull, viewmat, K, height, width, near, peaks, radii) -> PlacedScene:
    scene = PlacedScene("place_train", (*gaussians, cull), viewmat, K, height, width, (near, peaks), radii)
    scene.list_pairs()
    return scene
