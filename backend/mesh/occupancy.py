# SPDX-License-Identifier: Apache-2.0
"""Occupancy logits and signed distance of pivots (spec training.md 5.4 and 5.8).

Occupancy is in (0, 1), above 0.5 inside the surface; the signed distance is positive outside. Each Gaussian stores nine
logits as base (constant between resets) + shift (learned).
"""

from __future__ import annotations

import torch
from torch import Tensor

_HALF_RANGE = 0.495            # sdf +-1 is occupancy 0.005 / 0.995
MIN_OCCUPANCY = 0.5 - _HALF_RANGE


def occupancy_from_sdf(sdf: Tensor) -> Tensor:
    """Occupancy in [0.005, 0.995] of a signed distance in [-1, 1], any shape."""
    return 0.5 - _HALF_RANGE * sdf


def reset_occupancy(base: Tensor, shift: Tensor, observed: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """New (base, shift) after an observation of the field, as an exponential moving average.

    Args:
        base, shift: [n, 9] logits; a base of exactly 0 means "never initialised".
        observed: [n, 9] occupancy in [0.005, 0.995], from depth fusion.
        alpha: weight of the observation where the field was initialised before.

    Returns:
        base = logit(observed), and the shift that makes sigmoid(base + shift) the average.
    """
    known = base != 0
    current = torch.sigmoid(base + shift)
    total = torch.where(known, alpha * observed + (1 - alpha) * current, observed)
    new_base = torch.logit(observed)
    return new_base, torch.logit(total.clamp(MIN_OCCUPANCY, 1 - MIN_OCCUPANCY)) - new_base
