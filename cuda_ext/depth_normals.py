# SPDX-License-Identifier: Apache-2.0
"""Normals of a depth map, differentiable in the depth."""

from __future__ import annotations

import torch
from torch import Tensor

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver


def depth_normals(depth: Tensor, K: Tensor) -> Tensor:
    """Unit normals of a depth map by central differences (spec training.md 4.2).

    Args:
        depth: [H, W] float32 or float64, z depth in world units.
        K: [3, 3] pixels.

    Returns:
        [3, H, W] in the camera frame, facing the camera; 0 in the outermost ring of pixels and where the four
        neighbours span no area.

    Raises:
        ValueError: shapes, dtypes or devices do not agree.
    """
    floats = (torch.float32, torch.float64)
    check_tensor("depth", depth, ("H", "W"), floats)
    check_tensor("K", K, (3, 3), floats)
    check_device(depth=depth, K=K)
    return _DepthNormals.apply(depth, kernel_ready(K.double()))


class _DepthNormals(torch.autograd.Function):
    @staticmethod
    def forward(ctx, depth: Tensor, K: Tensor) -> Tensor:
        depth = kernel_ready(depth)
        normal = depth.new_empty((3, *depth.shape))
        driver(depth).depth_normals(depth, K, normal)
        ctx.save_for_backward(depth, K)
        return normal

    @staticmethod
    def backward(ctx, grad: Tensor):
        depth, K = ctx.saved_tensors
        grad_depth = torch.empty_like(depth)
        driver(depth).depth_normals_backward(depth, K, kernel_ready(grad), grad_depth)
        return grad_depth, None
