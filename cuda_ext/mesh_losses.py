# SPDX-License-Identifier: Apache-2.0
"""The losses that keep a mesh's maps and the Gaussians' depths of one view together (spec training.md 4.4)."""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver

_FLOATS = (torch.float32, torch.float64)


def view_loss(mesh_depth, mesh_normal, median_depth, K, extent, *, expected_depth=None, median_share=1.0,
              depth_weight=1.0, normal_weight=1.0):  # fmt: skip
    """Depth and normal loss between mesh and Gaussians; the mean is over all pixels, those without mesh count as 0.

    Args:
        mesh_depth: [H, W] float32 or float64, z depth, world units, 0 where the mesh is not.
        mesh_normal: [3, H, W] unit normals in the camera frame, of either orientation.
        median_depth: [H, W] of the Gaussians.
        K: [3, 3] pixels.
        extent: length that the depth differences are compared with, world units.
        expected_depth: [H, W] of the Gaussians; only needed if median_share < 1.
        median_share: weight of the median depth and of its normals; the expected depth has the rest.
        depth_weight, normal_weight: of the two losses.

    Returns:
        two scalars: depth_weight * mean ln(1 + |difference| / extent), and normal_weight * mean (1 - |cosine|) to the
        normals of the depth maps (spec 4.2). Differentiable in the mesh's maps and both depths.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the expected depth is needed and missing.
    """
    check_tensor("mesh_depth", mesh_depth, ("H", "W"), _FLOATS)
    check_tensor("mesh_normal", mesh_normal, (3, *mesh_depth.shape), (mesh_depth.dtype,))
    check_tensor("median_depth", median_depth, tuple(mesh_depth.shape), (mesh_depth.dtype,))
    check_tensor("K", K, (3, 3), _FLOATS)
    check_device(mesh_depth=mesh_depth, mesh_normal=mesh_normal, median_depth=median_depth, K=K)
    if median_share == 1:
        expected_depth = None
    elif expected_depth is None:
        raise ValueError(f"median_share is {median_share}, so expected_depth is needed.")
    else:
        check_tensor("expected_depth", expected_depth, tuple(mesh_depth.shape), (mesh_depth.dtype,))
        check_device(mesh_depth=mesh_depth, expected_depth=expected_depth)
    factors = depth_weight / mesh_depth.numel(), normal_weight / mesh_depth.numel()
    return _ViewLoss.apply(mesh_depth, mesh_normal, median_depth, expected_depth, kernel_ready(K.double()),
                           float(median_share), float(extent), *factors)  # fmt: skip


class _ViewLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, mesh_depth, mesh_normal, median_depth, expected_depth, *constants):
        maps = [None if x is None else kernel_ready(x) for x in (mesh_depth, mesh_normal, median_depth, expected_depth)]
        terms = mesh_depth.new_empty(2)
        driver(mesh_depth).view_loss(*maps, *constants, terms)
        K, *ctx.numbers = constants
        ctx.save_for_backward(*maps, K)
        return terms[0], terms[1]

    @staticmethod
    @once_differentiable
    def backward(ctx, g_depth, g_normal):
        *maps, K = ctx.saved_tensors
        grads = [torch.empty_like(x) for x in maps[:2]]
        grads += [torch.empty_like(x) if needed else None for x, needed in zip(maps[2:], ctx.needs_input_grad[2:])]
        driver(g_depth).view_loss_backward(
            *maps, K, *ctx.numbers, kernel_ready(g_depth), kernel_ready(g_normal), *grads
        )
        return *grads, *(None,) * 5
