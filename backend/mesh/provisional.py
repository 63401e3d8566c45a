# SPDX-License-Identifier: Apache-2.0
"""A mesh of the Gaussians as they are, before any signed distance has been learned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from milo.backend.gaussians.pivot_choice import PIVOTS
from milo.backend.rendering.frustum import pixels_of
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats

from .fields import fused_sdf, median_depths
from .pivots import gaussian_pivots
from .surface import extract_surface, triangulate


@torch.no_grad()
def provisional_mesh(splats: Splats, views: Sequence, scale: SceneScale, max_points: int, carve: bool):
    """Mesh by fusing the Gaussians' own median depths at their pivots.

    Only what some view's surface hides can be inside: pivots beside all photos, and before empty background, are air,
    else large sheets would hang before the cameras.

    Args:
        splats: activated Gaussians.
        views: training views.
        scale: of the scene.
        max_points: pivots at most, 0 = no limit; of more Gaussians the most opaque are taken.
        carve: what the photos' masks call background is free space.

    Returns:
        (verts [V, 3] float, faces [F, 3] int32), both empty if there is no surface yet.
    """
    limit = max(1, max_points // PIVOTS) if max_points > 0 else len(splats.means)
    means, scales, quats, share = splats.means, splats.scales, splats.quats, 1.0
    if len(means) > limit:
        chosen = splats.opacities.topk(limit).indices.sort().values
        share = limit / len(means)
        means, scales, quats = means[chosen], scales[chosen], quats[chosen]
    pivots = gaussian_pivots(means, scales, quats, share)
    hidden = torch.zeros(len(pivots.points), dtype=torch.bool, device=pivots.points.device)
    depths = _noting(hidden, pivots.points, views, median_depths(splats, views, scale), scale.mesh_near)
    sdf = fused_sdf(pivots.points, views, depths, scale, carve)
    sdf = torch.where(hidden | (sdf > -1), sdf, 1.0)
    surface = extract_surface(pivots, sdf, triangulate(pivots.points))
    return surface.verts, surface.faces


def _noting(hidden: Tensor, points: Tensor, views: Sequence, depths: Iterable[Tensor],
            near: float) -> Iterator[Tensor]:
    """The depth map [H, W] of each view, and in hidden [P] which points one of them has lain before."""
    for view, depth in zip(views, depths):
        inside, row, column, z = pixels_of(points, view.camera, near)
        before = depth[row, column]
        hidden |= inside & (before > 0) & (before < z)
        yield depth
