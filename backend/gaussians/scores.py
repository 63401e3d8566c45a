# SPDX-License-Identifier: Apache-2.0
"""How much each Gaussian matters over all training views (spec training.md 3.2, 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from milo.backend.rendering.splats import Splats
from milo.cuda_ext.splats import rasterize_stats

from .sampling import keep_mass


class Scores(NamedTuple):
    """Sums over the views; row i is Gaussian i."""

    weight: Tensor       # [N] float: blending weight over all pixels ("sum score")
    metric: Tensor       # [N] float: the score asked for, indoor or outdoor
    dominance: Tensor    # [N] int64: pixels in which the Gaussian weighs most; > 0 = "intersection" Gaussian
    seen: Tensor         # [N] int32: views in whose most important mass it is
    culled: Tensor       # [V, N] bool: not in that mass of view v
    factor: Tensor       # [N] float: share of the views that draw it in which it matters

    def of_intersections(self, score: Tensor) -> Tensor:
        """The score, 0 for Gaussians that dominate no pixel of any view."""
        return torch.where(self.dominance > 0, score, 0.0)


@torch.no_grad()
def score_views(splats: Splats, cameras: Sequence, *, importance: str, mass: float, near: float,
                culled: Tensor | None = None) -> Scores:
    """One statistics render per camera.

    Args:
        splats: N Gaussians.
        cameras: V cameras of one resolution.
        importance: "indoor" (metric = summed weight) or "outdoor" (mean weight per touched pixel, over the views in
            which the Gaussian dominates a pixel).
        mass: share of a view's importance that counts as visible.
        near: nearest z drawn, world units.
        culled: [V, N] Gaussians to leave out of each view's render.
    """
    count, device = len(splats.means), splats.means.device
    weight, metric, drawn = (torch.zeros(count, device=device) for _ in range(3))
    dominance = torch.zeros(count, dtype=torch.int64, device=device)
    seen = torch.zeros(count, dtype=torch.int32, device=device)
    masks = torch.zeros(len(cameras), count, dtype=torch.bool, device=device)
    for v, camera in enumerate(cameras):
        radii, weights, touched, dominated = rasterize_stats(
            splats.means, splats.scales, splats.quats, splats.opacities, camera.viewmat, camera.K, camera.size,
            cull=None if culled is None else culled[v], near=near)
        weight += weights
        if importance == "outdoor":
            metric += torch.where(dominated > 0, weights / touched.clamp_min(1), 0.0)
        else:
            metric += weights
        dominance += dominated
        drawn += radii > 0
        visible = keep_mass(weights, mass)
        seen += visible
        masks[v] = ~visible
    return Scores(weight, metric, dominance, seen, masks, seen / (drawn + 0.1))
