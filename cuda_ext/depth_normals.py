# SPDX-License-Identifier: Apache-2.0
"""Normals of a depth map, differentiable in the depth, and the loss between them and rendered normals."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver

_FLOATS = (torch.float32, torch.float64)


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
    check_tensor("depth", depth, ("H", "W"), _FLOATS)
    check_tensor("K", K, (3, 3), _FLOATS)
    check_device(depth=depth, K=K)
    return _DepthNormals.apply(depth, kernel_ready(K.double()))


def depth_normal_loss(normal: Tensor, median_depth: Tensor, expected_depth: Tensor, K: Tensor, expected_share: float,
                      weight: float = 1.0) -> Tensor:
    """How far the rendered normals are from those of the rendered depths: weight x mean of 1 - dot, over all pixels.

    The outermost ring of pixels and empty pixels count as 1, a constant (spec training.md 4.2, Q41).

    Args:
        normal: [3, H, W] float32 or float64, camera frame, facing the camera.
        median_depth, expected_depth: [H, W] of the same dtype, z depth, world units.
        K: [3, 3] pixels.
        expected_share: weight of the expected depth's normals; those of the median depth have the rest.

    Returns:
        Scalar tensor; differentiable in normal and both depths.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or there is no pixel.
    """
    check_tensor("median_depth", median_depth, ("H", "W"), _FLOATS)
    if median_depth.numel() == 0:
        raise ValueError(f"median_depth is empty: its shape is {list(median_depth.shape)}.")
    dtypes = (median_depth.dtype,)
    check_tensor("expected_depth", expected_depth, median_depth.shape, dtypes)
    check_tensor("normal", normal, (3, *median_depth.shape), dtypes)
    check_tensor("K", K, (3, 3), _FLOATS)
    check_device(median_depth=median_depth, expected_depth=expected_depth, normal=normal, K=K)
    return _NormalAgreement.apply(normal, median_depth, expected_depth, kernel_ready(K.double()), float(expected_share),
                                  float(weight))


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


class _NormalAgreement(torch.autograd.Function):
    @staticmethod
    def forward(ctx, normal: Tensor, median: Tensor, expected: Tensor, K: Tensor, share: float, weight: float):
        maps = kernel_ready(normal), kernel_ready(median), kernel_ready(expected), K
        ctx.share, ctx.scale = share, -weight / median.numel()
        loss = median.new_empty(())
        driver(median).normal_agreement(*maps, share, ctx.scale, weight, loss)
        ctx.save_for_backward(*maps)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, g: Tensor):
        *maps, K = ctx.saved_tensors
        grads = [torch.empty_like(value) for value in maps]
        driver(K).normal_agreement_backward(*maps, K, ctx.share, ctx.scale, kernel_ready(g), *grads)
        return (*grads, None, None, None)
