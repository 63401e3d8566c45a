# SPDX-License-Identifier: Apache-2.0
"""The losses that keep mesh and Gaussians consistent (spec training.md 4.4), one by one, for mixtures of one's own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def depth_loss(mesh_depth: Tensor, splat_depth: Tensor, extent: float) -> Tensor:
    """mean(mask ln(1 + |difference| / extent)) of two depth maps [H, W]; mask = the mesh is there."""
    return (torch.log1p((mesh_depth - splat_depth).abs() / extent) * (mesh_depth > 0)).mean()


def normal_loss(mesh_normal: Tensor, splat_normal: Tensor, mesh_depth: Tensor) -> Tensor:
    """mean(mask (1 - |cosine|)) of two camera-space normal maps [3, H, W]; blind to orientation."""
    return ((1 - (mesh_normal * splat_normal).sum(0).abs()) * (mesh_depth > 0)).mean()


def center_loss(logits: Tensor) -> Tensor:
    """mean max(0, 1/2 - occupancy) of the Gaussians' centres; logits [n, 9], column 8 = centre. Counters erosion."""
    return F.relu(0.5 - torch.sigmoid(logits[:, 8])).mean()


def label_loss(logits: Tensor, labels: Tensor, kind: str) -> Tensor:
    """Binary cross-entropy of pivot logits [P] against labels [P] in {0, 1}.

    kind "parity": the mean over all pivots times the share labelled occupied, as the reference has it (Q12);
    "masked": the mean over all pivots of the terms of occupied pivots alone, as the paper has it.
    """
    labels = labels.to(logits.dtype)
    if kind == "masked":
        return (F.softplus(-logits) * labels).mean()
    return F.binary_cross_entropy_with_logits(logits, labels) * (labels > 0.5).to(logits.dtype).mean()


def to_pivot_order(values: Tensor) -> Tensor:
    """[n, 9] per-Gaussian values (eight corners, centre) -> [9n] in pivot order."""
    return torch.cat([values[:, :8].reshape(-1), values[:, 8]])
