# SPDX-License-Identifier: Apache-2.0
"""A mesh of the Gaussians as they are, before any signed distance has been learned."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from milo.backend.gaussians.pivot_choice import PIVOTS
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats

from .fields import fused_sdf, median_depths
from .pivots import gaussian_pivots
from .surface import extract_surface, triangulate


@torch.no_grad()
def provisional_mesh(splats: Splats, views: Sequence, scale: SceneScale, max_points: int, carve: bool):
    """Mesh by fusing the Gaussians' own median depths at their pivots.

    Args:
        splats: activated Gaussians.
        views: training views.
        scale: of the scene.
        max_points: pivots at most, 0 = no limit; of more Gaussians the most opaque are taken.
        carve: what the photos' masks call background is free space.

    Returns:
        (verts [V, 3] float, faces [F, 3] int32), both empty if there is no surface yet.
    """
    limit = max_points // PIVOTS if max_points > 0 else len(splats.means)
    means, scales, quats, share = splats.means, splats.scales, splats.quats, 1.0
    if len(means) > limit:
        chosen = splats.opacities.topk(limit).indices.sort().values
        share = limit / len(means)
        means, scales, quats = means[chosen], scales[chosen], quats[chosen]
    pivots = gaussian_pivots(means, scales, quats, share)
    sdf = fused_sdf(pivots.points, views, median_depths(splats, views, scale), scale, carve)
    surface = extract_surface(pivots, sdf, triangulate(pivots.points))
    return surface.verts, surface.faces
