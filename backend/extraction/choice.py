# SPDX-License-Identifier: Apache-2.0
"""Which Gaussians of a finished set carry pivots (spec extraction 1.1, step A)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from milo.backend.gaussians.pivot_choice import PIVOTS
from milo.backend.gaussians.sampling import draw_weighted
from milo.backend.gaussians.scores import score_views
from milo.backend.mesh.region import region_of
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats


def chosen_share(rows: Tensor, splats: Splats, config) -> float:
    """The share of the Gaussians of the region (without one: of all) that the chosen `rows` are."""
    region = region_of(config)
    count = len(splats.means) if region is None else int(region.contains(splats.means, config.region.margin).sum())
    return len(rows) / max(count, 1)


def chosen_gaussians(splats: Splats, logits: Tensor, views: Sequence, config, scale: SceneScale,
                     generator: torch.Generator) -> Tensor:
    """Rows [n] of the Gaussians that carry pivots, ascending.

    Those that carried pivots in training (any of their nine logits is not 0), or all if none did. If they are more than
    extract.max_points allows, they are drawn by their importance; the reference would ignore the limit (Q-2).

    Args:
        splats: N Gaussians.
        logits: [N, 9].
        views: training views.
        config: sections densify, mesh, extract and region.
        scale: of the scene.
        generator: draws.
    """
    candidates = (logits != 0).any(dim=1)
    if not candidates.any():
        candidates = torch.ones_like(candidates)
    region = region_of(config)
    if region is not None:
        candidates &= region.contains(splats.means, config.region.margin)
        if not candidates.any():
            raise ValueError("No Gaussian lies in the region of interest. Move the box, or set region.box=[].")
    rows = candidates.nonzero().squeeze(1)
    limit = (config.extract.max_points or config.mesh.max_points) // PIVOTS
    if not limit or len(rows) <= limit:
        return rows
    densify = config.densify
    scores = score_views(splats, [view.camera for view in views], importance=densify.importance, mass=densify.mass,
                         near=scale.splat_near)
    weights = torch.where(candidates, scores.of_intersections(scores.metric), 0.0)
    drawn = draw_weighted(weights, limit, generator)
    min_views = 0 if len(views) < densify.few_views else densify.min_views
    drawn = drawn[scores.seen[drawn] > min_views]
    if not len(drawn):
        raise ValueError(f"None of {len(rows)} Gaussians is seen by more than {min_views} photos, so none can carry "
                         "the mesh. Set extract.max_points and mesh.max_points to 0 to take them all.")
    return drawn
