# SPDX-License-Identifier: Apache-2.0
"""Oracle of milo.cuda_ext.depth_normals in plain PyTorch (spec training.md 4.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def depth_normals(depth: Tensor, K: Tensor) -> Tensor:
    """See milo.cuda_ext.depth_normals.depth_normals."""
    height, width = depth.shape
    rows = (torch.arange(height, dtype=depth.dtype) + 0.5 - K[1, 2]) / K[1, 1]
    cols = (torch.arange(width, dtype=depth.dtype) + 0.5 - K[0, 2]) / K[0, 0]
    ones = torch.ones(height, width, dtype=depth.dtype)
    points = depth * torch.stack([cols * ones, rows[:, None] * ones, ones])
    vertical = points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
    horizontal = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
    normal = F.normalize(torch.linalg.cross(vertical, horizontal, dim=0), dim=0, eps=1e-12)
    return F.pad(normal, (1, 1, 1, 1))


def depth_normal_loss(normal: Tensor, median_depth: Tensor, expected_depth: Tensor, K: Tensor, expected_share: float,
                      weight: float = 1.0) -> Tensor:
    """See milo.cuda_ext.depth_normals.depth_normal_loss."""
    of_depth = torch.lerp(depth_normals(median_depth, K), depth_normals(expected_depth, K), expected_share)
    return weight * (1 - (normal * of_depth).sum(0)).mean()
