# SPDX-License-Identifier: Apache-2.0
"""Oracle of milo.cuda_ext.mesh_losses in plain PyTorch (spec training.md 4.4)."""

from __future__ import annotations

import torch

from .depth_normals import depth_normals


def view_loss(mesh_depth, mesh_normal, median_depth, K, extent, *, expected_depth=None, median_share=1.0,
              depth_weight=1.0, normal_weight=1.0):  # fmt: skip
    depth, normal = median_share * median_depth, median_share * depth_normals(median_depth, K)
    if median_share < 1:
        depth = depth + (1 - median_share) * expected_depth
        normal = normal + (1 - median_share) * depth_normals(expected_depth, K)
    mask = mesh_depth > 0
    depth_loss = (torch.log1p((mesh_depth - depth).abs() / extent) * mask).mean()
    normal_loss = ((1 - (mesh_normal * normal).sum(0).abs()) * mask).mean()
    return depth_weight * depth_loss, normal_weight * normal_loss
