# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from .runtime import blocks, load

_BLOCK = (32, 8)
_SUM_BLOCK = 256   # kSumBlock of block_sums.cuh


def depth_normals(depth, K, normal):
    _launch("depth_normals", depth, K, normal)


def depth_normals_backward(depth, K, grad_normal, grad_depth):
    _launch("depth_normals_backward", depth, K, grad_normal, grad_depth)


def _launch(kernel, depth, K, *images):
    if depth.numel() == 0:
        return
    height, width = depth.shape
    grid = blocks(width, _BLOCK[0]), blocks(height, _BLOCK[1])
    load("depth_normals.cu", depth.device, depth.dtype).launch(kernel, grid, _BLOCK, depth, K, height, width, *images)


def normal_agreement(normal, median, expected, K, share, scale, offset, loss):
    kernels = load("depth_normals.cu", median.device, median.dtype)
    grid = blocks(median.numel(), _SUM_BLOCK)
    partials = torch.empty(grid, dtype=torch.float64, device=median.device)
    kernels.launch("normal_agreement", grid, _SUM_BLOCK, normal, median, expected, K, *median.shape, share, partials)
    kernels.launch("sum_agreement", 1, _SUM_BLOCK, partials, grid, scale, offset, loss)


def normal_agreement_backward(normal, median, expected, K, share, scale, g, *grads):
    load("depth_normals.cu", median.device, median.dtype).launch(
        "normal_agreement_backward", blocks(median.numel(), _SUM_BLOCK), _SUM_BLOCK, normal, median, expected, K,
        *median.shape, share, scale, g, *grads,
    )  # fmt: skip
