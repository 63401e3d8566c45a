# SPDX-License-Identifier: Apache-2.0
"""Which Gaussians carry pivots when there are more than may (spec training.md 5.1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from milo.backend.config import MeshConfig
from milo.backend.rendering.splats import Splats
from milo.cuda_ext.pivots import PIVOTS

from .sampling import draw_weighted
from .scores import Scores


class PivotChoice(NamedTuple):
    """Gaussians that carry pivots."""

    rows: Tensor                # [n] indices, ascending
    on_surface: Tensor | None   # [n] bool: not added for their opacity alone; None if none was
    candidates: int | None = None   # Gaussians they were chosen from; None = all


def pivot_limit(config: MeshConfig) -> int | None:
    """Gaussians that may carry pivots; None = all."""
    return config.max_points // PIVOTS if config.max_points > 0 else None


def choose_pivots(splats: Splats, scores: Scores, config: MeshConfig, min_views: int,
                  generator: torch.Generator, candidates: Tensor | None = None) -> PivotChoice:
    """Draw the Gaussians that carry pivots.

    Args:
        splats: all N Gaussians, of which there are more candidates than the limit.
        scores: of them, over the training views at full resolution.
        min_views: drawn Gaussians that matter in at most so many views are dropped again ("surface" sampling).
        generator: draws.
        candidates: [N] bool, who may be drawn; None = all. (In the reference those added for their opacity and random
            ones may be others.)
    """
    limit = pivot_limit(config)
    if candidates is None:
        candidates = torch.ones(len(splats.means), dtype=torch.bool, device=splats.means.device)
    if config.sampling == "random":
        return PivotChoice(draw_weighted(candidates.float(), limit, generator), None)
    chosen = draw_weighted(scores.of_intersections(scores.metric) * candidates, limit, generator)
    chosen = chosen[scores.seen[chosen] > min_views]
    if config.sampling == "surface+opacity" and len(chosen) < limit:
        weights = splats.opacities.detach() * candidates
        weights[chosen] = 0
        rows = torch.cat([chosen, draw_weighted(weights, limit - len(chosen), generator)]).sort().values
        return PivotChoice(rows, torch.isin(rows, chosen))
    return PivotChoice(chosen, None)
