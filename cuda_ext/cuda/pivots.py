# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from .runtime import blocks, load

_BLOCK = 256   # kSumBlock of block_sums.cuh


def pivots(means, scales, quats, rows, growth, points, radii):
    load("pivots.cu", means.device, means.dtype).launch(
        "pivots", blocks(len(points), _BLOCK), _BLOCK, means, scales, quats, rows, len(points) // 9, growth,
        points, radii,
    )  # fmt: skip


def pivots_backward(scales, quats, rows, growth, g_points, g_means, g_scales, g_quats):
    count = len(g_points) // 9
    load("pivots.cu", scales.device, scales.dtype).launch(
        "pivots_backward", blocks(count, 128), 128, scales, quats, rows, count, growth, g_points, g_means,
        g_scales, g_quats,
    )  # fmt: skip


def field(base, shift, rows, labels, on_surface, only_occupied, center_weight, label_weight, sdf, counts, terms):
    kernels = load("pivots.cu", base.device, base.dtype)
    count, grid = len(sdf) // 9, blocks(len(sdf), _BLOCK)
    partials = None if labels is None else torch.empty(grid, 4, dtype=torch.float64, device=base.device)
    kernels.launch(
        "field", grid, _BLOCK, base, shift, rows, count, labels, on_surface, only_occupied, sdf, partials
    )
    if labels is not None:
        kernels.launch(
            "field_terms", 1, _BLOCK, partials, grid, count, only_occupied, center_weight,
            label_weight, counts, terms,
        )  # fmt: skip


def field_backward(base, shift, rows, labels, on_surface, only_occupied, center_weight, label_weight, counts, g_sdf,
                   g_center, g_label, g_shift):  # fmt: skip
    pivots = 9 * (len(base) if rows is None else len(rows))
    load("pivots.cu", base.device, base.dtype).launch(
        "field_backward", blocks(pivots, _BLOCK), _BLOCK, base, shift, rows, pivots // 9, labels, on_surface,
        only_occupied, center_weight, label_weight, counts, g_sdf, g_center, g_label, g_shift,
    )  # fmt: skip
