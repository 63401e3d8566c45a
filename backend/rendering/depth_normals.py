# SPDX-License-Identifier: Apache-2.0
"""Normals of a depth map (spec training.md 4.2), differentiable in the depth."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def camera_rays(K: Tensor, size: tuple[int, int]) -> Tensor:
    """Points [3, H, W] at depth 1 on the rays through the pixel centres, camera frame."""
    height, width = size
    rows = (torch.arange(height, dtype=K.dtype, device=K.device) + 0.5 - K[1, 2]) / K[1, 1]
    cols = (torch.arange(width, dtype=K.dtype, device=K.device) + 0.5 - K[0, 2]) / K[0, 0]
    ones = torch.ones_like(cols).expand(height, width)
    return torch.stack([cols.expand(height, width), rows[:, None].expand(height, width), ones])


def depth_normals(depth: Tensor, rays: Tensor) -> Tensor:
    """Unit normals of a depth map, camera frame, facing the camera.

    Args:
        depth: [H, W] z depth, world units.
        rays: [3, H, W] from camera_rays, for the same size.

    Returns:
        [3, H, W]; the outermost ring of pixels is zero, and so is any pixel whose neighbours span no area.
    """
    points = depth * rays
    vertical = points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
    horizontal = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
    normal = F.normalize(torch.linalg.cross(vertical, horizontal, dim=0), dim=0, eps=1e-12)
    return F.pad(normal, (1, 1, 1, 1))
