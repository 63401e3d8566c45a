# SPDX-License-Identifier: Apache-2.0
"""Which elements of a set to keep or draw by their importance (spec training.md 3.1, 3.7)."""

from __future__ import annotations

import torch
from torch import Tensor


def keep_mass(importance: Tensor, mass: float) -> Tensor:
    """The most important elements, without the tail that carries at most 1 - mass of the importance (3.1).

    Args:
        importance: [N] >= 0. Elements of importance 0 are never kept (unless mass is 1: that keeps all).
        mass: in (0, 1].

    Returns:
        [N] bool.
    """
    if mass >= 1 or len(importance) == 0:
        return torch.ones_like(importance, dtype=torch.bool)
    ordered = (importance + 1e-6).sort().values
    share = ordered.cumsum(0, dtype=torch.float64)
    first = torch.searchsorted(share, share[-1] * (1 - mass), right=True)
    return importance > ordered[first]


def draw_weighted(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices drawn one after the other without replacement, proportional to the weights, in ascending order.

    An exponential race: the smallest -ln(U)/w win, which has the same distribution in one pass.

    Args:
        weights: [N] >= 0; those of weight 0 are never drawn.
        count: how many; all that can be drawn if there are fewer.

    Returns:
        [min(count, positive weights)] int64.
    """
    candidates = weights.nonzero().squeeze(1)
    if count >= len(candidates):
        return candidates
    race = torch.empty(len(candidates), dtype=torch.float64).exponential_(generator=generator).to(weights.device)
    winners = (race / weights[candidates].double()).topk(count, largest=False).indices
    return candidates[winners].sort().values
