# SPDX-License-Identifier: Apache-2.0
"""Nine pivots a Gaussian: the points that carry the signed distance (spec training.md 5.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from milo.backend.gaussians.pivot_choice import PIVOTS


class Pivots(NamedTuple):
    """All corners first (Gaussian-major, eight each, z fastest), then all centres."""

    points: Tensor   # [9n, 3] world units
    radii: Tensor    # [9n] the Gaussian's largest half extent, world units


def rotation_matrices(quats: Tensor) -> Tensor:
    """Rotations [n, 3, 3] (world = R local) of quaternions [n, 4] (w, x, y, z), which need not be unit length."""
    w, x, y, z = F.normalize(quats, dim=-1, eps=1e-12).unbind(-1)
    rows = (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y))
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def gaussian_pivots(means: Tensor, scales: Tensor, quats: Tensor, share: float = 1.0) -> Pivots:
    """Pivots of n Gaussians; differentiable in means, scales and quats.

    Args:
        means: [n, 3]; scales: [n, 3] standard deviations with the 3D filter; quats: [n, 4] (w, x, y, z).
        share: n / N when only n of N Gaussians were chosen: boxes grow by share^(-1/3) to fill the gaps.
    """
    half = scales * (3.0 * share ** (-1 / 3))                                   # [n, 3]
    axes = rotation_matrices(quats) * half[:, None, :]                          # [n, 3, 3] columns = box half axes
    signs = torch.tensor([-1.0, 1.0], dtype=means.dtype, device=means.device)
    corners = torch.cartesian_prod(signs, signs, signs)                         # [8, 3] z fastest
    boxes = means[:, None, :] + corners @ axes.transpose(1, 2)                  # [n, 8, 3]
    radii = half.detach().amax(dim=1)                                           # [n]
    return Pivots(torch.cat([boxes.reshape(-1, 3), means]), torch.cat([radii.repeat_interleave(8), radii]))


def to_pivot_order(values: Tensor) -> Tensor:
    """[n, 9] per-Gaussian values (eight corners, centre) -> [9n] in pivot order."""
    return torch.cat([values[:, :8].reshape(-1), values[:, 8]])


def from_pivot_order(values: Tensor) -> Tensor:
    """[9n] in pivot order -> [n, 9] per Gaussian."""
    n = len(values) // PIVOTS
    return torch.cat([values[: 8 * n].view(n, 8), values[8 * n:, None]], dim=1)
