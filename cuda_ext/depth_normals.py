# SPDX-License-Identifier: Apache-2.0
"""Normals of a depth map, differentiable in the depth."""

from __future__ import annotations

import torch
from torch import Tensor

from .native import native


def depth_normals(depth: Tensor, K: Tensor) -> Tensor:
    """Unit normals of a depth map by central differences (spec training.md 4.2).

    Args:
        depth: [H, W] float32 or float64, z depth in world units.
        K: [3, 3] pixels.

    Returns:
        [3, H, W] in the camera frame, facing the camera; 0 in the outermost ring of pixels and where the four
        neighbours span no area.

    Raises:
        ValueError: depth is not a [H, W] float tensor on the CPU.
    """
    if depth.dim() != 2 or depth.dtype not in (torch.float32, torch.float64) or depth.device.type != "cpu":
        raise ValueError(f"depth must be a [H, W] float tensor on the CPU, not {tuple(depth.shape)} {depth.dtype} on "
                         f"{depth.device}.")
    return _DepthNormals.apply(depth, (float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])))


class _DepthNormals(torch.autograd.Function):
    @staticmethod
    def forward(ctx, depth: Tensor, intrinsics: tuple[float, float, float, float]) -> Tensor:
        depth = depth.detach().contiguous()
        normal = depth.new_empty((3, *depth.shape))
        native.depth_normals(depth, *intrinsics, normal)
        ctx.save_for_backward(depth)
        ctx.intrinsics = intrinsics
        return normal

    @staticmethod
    def backward(ctx, grad: Tensor):
        (depth,) = ctx.saved_tensors
        grad_depth = torch.empty_like(depth)
        native.depth_normals_backward(depth, *ctx.intrinsics, grad.detach().contiguous(), grad_depth)
        return grad_depth, None
