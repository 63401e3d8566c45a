# SPDX-License-Identifier: Apache-2.0
"""Nine pivots a Gaussian: the points that carry the signed distance (spec training.md 5.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from milo.backend.gaussians.pivot_choice import PIVOTS
from milo.cuda_ext.pivots import pivots


class Pivots(NamedTuple):
    """All corners first (Gaussian-major, eight each, z fastest), then all centres."""

    points: Tensor   # [9n, 3] world units
    radii: Tensor    # [9n] the Gaussian's largest half extent, world units


def gaussian_pivots(means: Tensor, scales: Tensor, quats: Tensor, share: float = 1.0,
                    rows: Tensor | None = None) -> Pivots:
    """Pivots of n Gaussians; differentiable in means, scales and quats.

    Args:
        means: [N, 3]; scales: [N, 3] standard deviations with the 3D filter; quats: [N, 4] (w, x, y, z).
        share: n / N when only n of N Gaussians were chosen: boxes grow by share^(-1/3) to fill the gaps.
        rows: [n] int32, those chosen of the N given; None = all that are given.
    """
    return Pivots(*pivots(means, scales, quats, rows, share))


def from_pivot_order(values: Tensor) -> Tensor:
    """[9n] in pivot order -> [n, 9] per Gaussian: eight corners, centre."""
    n = len(values) // PIVOTS
    return torch.cat([values[: 8 * n].view(n, 8), values[8 * n:, None]], dim=1)
