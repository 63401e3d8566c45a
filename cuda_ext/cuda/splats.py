# SPDX-License-Identifier: Apache-2.0
"""The rasterisers of Gaussians on the GPU.

Gaussians are sorted once by depth, listed cell after cell (8 x 8 pixels) by a second, stable sort of the cells'
indices, and blended by one warp a cell. The backward pass writes one row of sums per pair (Gaussian, cell) and adds
each Gaussian's rows in a fixed order: no atomic additions of floats, so that equal inputs give equal bits.

One wait for the GPU per forward pass: the number of pairs decides the size of their arrays.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .runtime import blocks, load

_CELL = 8         # pixels, kCell of splat_cell.cuh
_CELL_WARPS = 2   # kCellWarps
_LIST_LANES = 8   # kListLanes of splat_place.cu
_SUMS = 16        # kSums of splat_backward.h
_SPLAT = 16       # scalars of a Splat, and of an Outline


class _Scene:
    """Gaussians on the cells of an image."""

    def __init__(self, place: str, gaussians: tuple, viewmat: Tensor, K: Tensor, height: int, width: int,
                 options: tuple, radii: Tensor):  # fmt: skip
        """place: the kernel; gaussians: its arguments before the camera, options: those before radii."""
        self.means, self.viewmat, self.K, self.height, self.width = gaussians[0], viewmat, K, height, width
        count, device = len(self.means), self.means.device
        kernels = self._kernels("splat_place.cu")

        def integers(*shape, dtype=torch.int32):
            return torch.empty(shape, dtype=dtype, device=device)

        self.touched = integers(count)
        keys = integers(count, dtype=torch.int32 if self.means.dtype == torch.float32 else torch.int64)
        rects, outlines = integers(count, 4), self.means.new_empty(count, _SPLAT)
        self.splats = self.means.new_empty(count, _SPLAT)
        kernels.launch(
            place, blocks(count, 128), 128, *gaussians, viewmat, K, width, height, *options, radii, self.touched, keys,
            rects, outlines, self.splats,
        )  # fmt: skip
        self.order = torch.sort(keys, stable=True).indices
        self.ends = torch.cumsum(self.touched.index_select(0, self.order), 0, dtype=torch.int32)
        cells_x, cells_y = -(-width // _CELL), -(-height // _CELL)
        self.cells = cells_x * cells_y
        self.begin = integers(self.cells + 1)
        self.instances = int(self.ends[-1]) if count else 0
        if not self.instances:
            self.begin.zero_()
            self.gaussian = self.slot = integers(0)
            return
        bits = 16 if self.cells < 2**15 else 32
        cell_of = integers(self.instances, dtype=torch.int16 if bits == 16 else torch.int32)
        gaussian_of = integers(self.instances)
        kernels.launch(
            f"list_cells_{bits}", blocks(_LIST_LANES * count, 128), 128, self.order, self.ends, self.touched, rects,
            outlines, count, cells_x, cell_of, gaussian_of,
        )  # fmt: skip
        cell_of, slot = torch.sort(cell_of, stable=True)
        self.gaussian, self.slot = integers(self.instances), integers(self.instances)
        kernels.launch(
            f"find_cells_{bits}", blocks(self.instances, 256), 256, cell_of, slot, gaussian_of, self.instances,
            self.cells, self.begin, self.gaussian, self.slot,
        )  # fmt: skip

    def _kernels(self, source: str):
        return load(source, self.means.device, self.means.dtype)

    def blend(self, source: str, kernel: str, *args) -> None:
        """One warp per cell."""
        self._kernels(source).launch(kernel, blocks(self.cells, _CELL_WARPS), 32 * _CELL_WARPS, *args)

    def slots(self) -> Tensor:
        return self.means.new_empty(self.instances, _SUMS)

    def gradients(self, kernel: str, slots: Tensor, gaussians: tuple, sh_degree: int, options: tuple, grads) -> None:
        """From sums by slot to the gradients of the parameters."""
        count, kernels = len(self.means), self._kernels("splat_gather.cu")
        threads = 64
        shared = threads * 3 * gaussians[5].shape[1] * slots.element_size()   # a row of spherical harmonics a thread
        totals = self.means.new_empty(count, _SUMS)
        kernels.launch(
            "add_slots", blocks(32 * count, 256), 256, self.order, self.ends, slots, count, totals
        )
        kernels.launch(
            kernel, blocks(count, threads), threads, *_counted(gaussians, sh_degree), self.touched, totals,
            self.viewmat, self.K, self.width, self.height, *options, *grads, shared=shared,
        )  # fmt: skip


def _counted(gaussians: tuple, sh_degree: int = 0) -> tuple:
    """Arrays and sizes of Gaussians as kernels take them; without colours if there are only four arrays."""
    if len(gaussians) == 4:
        return (*gaussians, None, None, len(gaussians[0]), 0, 0)
    return (*gaussians, len(gaussians[0]), gaussians[5].shape[1], sh_degree)


class GeometryFrame:
    """Forward pass of the geometry raster, and what its backward pass needs."""

    @classmethod
    def render(
        cls, means, scales, quats, opacities, sh_dc, sh_rest, sh_degree, viewmat, K, height, width, background,
        kernel_size, near, image, alpha, expected_depth, median_depth, normal, radii,
    ):  # fmt: skip
        frame = cls()
        frame.kernel_size = kernel_size
        frame.transmittance, frame.normal_length = torch.empty_like(alpha), torch.empty_like(alpha)
        frame.median_at, frame.drawn_end = (torch.empty_like(alpha, dtype=torch.int32) for _ in range(2))
        frame.scene = scene = _Scene(
            "place_geometry", _counted((means, scales, quats, opacities, sh_dc, sh_rest), sh_degree), viewmat, K,
            height, width, (kernel_size, near), radii,
        )  # fmt: skip
        scene.blend(
            "splat_geometry.cu", "blend_geometry", scene.begin, scene.gaussian, scene.splats, viewmat, K, background,
            width, height, image, alpha, expected_depth, median_depth, normal, frame.transmittance, frame.normal_length,
            frame.median_at, frame.drawn_end,
        )  # fmt: skip
        return frame

    def backward(
        self, means, scales, quats, opacities, sh_dc, sh_rest, sh_degree, image, alpha, expected_depth, median_depth,
        normal, g_image, g_alpha, g_expected_depth, g_median_depth, g_normal, *grads,
    ):  # fmt: skip
        scene, slots = self.scene, self.scene.slots()
        lists = (scene.begin, scene.gaussian, scene.slot, scene.splats)
        absolute = grads[6] is not None   # the gradient of screen_grad
        view = (scene.viewmat, scene.K, scene.width, scene.height)
        if g_normal is None:
            scene.blend(
                "splat_geometry.cu", "blend_colour_backward", *lists, *view, image, self.transmittance, self.drawn_end,
                g_image, g_alpha, absolute, slots,
            )  # fmt: skip
        else:
            scene.blend(
                "splat_geometry.cu", "blend_geometry_backward", *lists, *view, image, expected_depth, normal,
                self.transmittance, self.normal_length, self.median_at, self.drawn_end, g_image, g_alpha,
                g_expected_depth, g_median_depth, g_normal, absolute, slots,
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
            _counted(gaussians, sh_degree), cull, viewmat, K, height, width, near, False, radii
        )
        scene.blend(
            "splat_train.cu", "blend_train", scene.begin, scene.gaussian, scene.splats, background, width, height,
            image, frame.drawn_end, area_max,
        )  # fmt: skip
        return frame

    def backward(self, means, scales, quats, opacities, sh_dc, sh_rest, sh_degree, image, g_image, *grads):
        scene, slots = self.scene, self.scene.slots()
        scene.blend(
            "splat_train.cu", "blend_train_backward", scene.begin, scene.gaussian, scene.slot, scene.splats,
            scene.width, scene.height, image, self.drawn_end, g_image, slots,
        )  # fmt: skip
        gaussians = (means, scales, quats, opacities, sh_dc, sh_rest)
        scene.gradients("train_gradients", slots, gaussians, sh_degree, (), grads)


def splat_stats(
    means, scales, quats, opacities, cull, viewmat, K, height, width, near, radii, accum_weights, area_proj, area_max
):
    gaussians = _counted((means, scales, quats, opacities))
    scene = _train_scene(gaussians, cull, viewmat, K, height, width, near, False, radii)
    weights = means.new_zeros(scene.instances)
    area_proj.zero_()
    area_max.zero_()
    scene.blend(
        "splat_train.cu", "blend_stats", scene.begin, scene.gaussian, scene.slot, scene.splats, width, height, weights,
        area_proj, area_max,
    )  # fmt: skip
    count = len(means)
    load("splat_gather.cu", means.device, means.dtype).launch(
        "add_weights", blocks(count, 128), 128, scene.order, scene.ends, weights, count, accum_weights
    )


def splat_depth(
    means, scales, quats, opacities, cull, viewmat, K, height, width, near, index, points, depth, transmittance
):
    gaussians = _counted((means, scales, quats, opacities))
    radii = torch.empty(len(means), dtype=torch.int32, device=means.device)
    scene = _train_scene(gaussians, cull, viewmat, K, height, width, near, True, radii)
    scene.blend(
        "splat_train.cu", "blend_depth", scene.begin, scene.gaussian, scene.splats, means, scales, quats, len(means),
        viewmat, K, width, height, index, points, depth, transmittance,
    )  # fmt: skip


def _train_scene(gaussians, cull, viewmat, K, height, width, near, peaks, radii) -> _Scene:
    return _Scene("place_train", (*gaussians, cull), viewmat, K, height, width, (near, peaks), radii)
