# SPDX-License-Identifier: Apache-2.0
"""The loss between depths and normals (spec training.md 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from milo.cuda_ext.depth_normals import depth_normals


def depth_normal_loss(normal: Tensor, median_depth: Tensor, expected_depth: Tensor, K: Tensor,
                      expected_share: float) -> Tensor:
    """How far the rendered normals are from those of the rendered depths: mean of 1 - dot, over all pixels.

    The outermost ring of pixels and empty pixels count as 1, a constant (Q41).

    Args:
        normal: [3, H, W] camera frame, facing the camera.
        median_depth, expected_depth: [H, W] z depth, world units.
        K: [3, 3] pixels.
        expected_share: weight of the expected depth; the median depth has the rest.
    """
    of_depth = torch.lerp(depth_normals(median_depth, K), depth_normals(expected_depth, K), expected_share)
    return 1 - torch.dot(normal.flatten(), of_depth.flatten()) / median_depth.numel()
