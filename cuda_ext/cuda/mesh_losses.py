# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from .runtime import blocks, load

_BLOCK = 256      # kSumBlock of block_sums.cuh
_TILE = (32, 8)   # as in mesh_losses.cu


def view_loss(mesh_depth, *maps_and_numbers):
    *rest, depth_factor, normal_factor, terms = maps_and_numbers
    kernels, grid = load("mesh_losses.cu", mesh_depth.device, mesh_depth.dtype), blocks(mesh_depth.numel(), _BLOCK)
    partials = torch.empty(grid, 2, dtype=torch.float64, device=mesh_depth.device)
    kernels.launch("view_loss", grid, _BLOCK, *_maps(mesh_depth, *rest), partials)
    kernels.launch("view_loss_terms", 1, _BLOCK, partials, grid, depth_factor, normal_factor, terms)


def view_loss_backward(mesh_depth, *maps_and_numbers):
    *rest, depth_factor, normal_factor, g_depth, g_normal = maps_and_numbers[:-4]
    height, width = mesh_depth.shape
    load("mesh_losses.cu", mesh_depth.device, mesh_depth.dtype).launch(
        "view_loss_backward", (blocks(width, _TILE[0]), blocks(height, _TILE[1])), _TILE, *_maps(mesh_depth, *rest),
        depth_factor, normal_factor, g_depth, g_normal, *maps_and_numbers[-4:],
    )  # fmt: skip


def _maps(mesh_depth, mesh_normal, median, expected, K, median_share, extent):
    """As the kernels take them."""
    return (mesh_depth, mesh_normal, median, expected, K, median_share, extent, *mesh_depth.shape)
