# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .runtime import blocks, load

_BLOCK = (32, 8)


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
