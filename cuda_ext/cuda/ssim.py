# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from .runtime import blocks, load


def image_distance(image, target, l1_weight, ssim_weight, offset, derivatives, distance):
    kernels, grid, tile = _launch(image)
    height, width = image.shape[1:]
    partials = torch.empty(grid[0] * grid[1] * grid[2], dtype=torch.float64, device=image.device)
    kernels.launch(
        "image_distance", grid, tile, image, target, height, width, l1_weight / image.numel(),
        ssim_weight / image.numel(), derivatives, partials,
    )  # fmt: skip
    kernels.launch("sum_distance", 1, 256, partials, len(partials), offset, distance)


def image_distance_backward(image, target, derivatives, l1_weight, g, grad):
    kernels, grid, tile = _launch(image)
    height, width = image.shape[1:]
    kernels.launch(
        "image_distance_backward", grid, tile, image, target, derivatives, height, width, l1_weight / image.numel(), g,
        grad,
    )  # fmt: skip


def _launch(image):
    """Kernels, grid and block: a thread a pixel, by tiles."""
    channels, height, width = image.shape
    tile = (32 if image.dtype == torch.float32 else 16), 16
    kernels = load("ssim.cu", image.device, image.dtype)
    return kernels, (blocks(width, tile[0]), blocks(height, tile[1]), channels), tile
