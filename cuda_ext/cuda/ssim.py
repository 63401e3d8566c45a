# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from ctypes import c_double

import torch

from .runtime import blocks, load


def image_distance(image, target, l1_weight, ssim_weight, grad):
    """l1_weight * mean|image - target| + ssim_weight * ssim as a scalar tensor; its gradient into grad unless None."""
    channels, height, width = image.shape
    kernels = load("ssim.cu", image.device, image.dtype)
    tile = (32 if image.dtype == torch.float32 else 16), 16
    grid = blocks(width, tile[0]), blocks(height, tile[1]), channels
    l1_scale, ssim_scale = c_double(l1_weight / image.numel()), c_double(ssim_weight / image.numel())
    distance = torch.zeros((), dtype=torch.float64, device=image.device)
    derivatives = None if grad is None else image.new_empty(3, *image.shape)
    kernels.launch(
        "image_distance", grid, tile, image, target, height, width, l1_scale, ssim_scale, derivatives, distance
    )
    if grad is not None:
        kernels.launch(
            "image_distance_backward", grid, tile, image, target, derivatives, height, width, l1_scale, grad
        )
    return distance.to(image.dtype)
