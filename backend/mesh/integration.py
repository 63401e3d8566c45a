# SPDX-License-Identifier: Apache-2.0
"""Signed distance of points from the opacity that views gather up to them (spec rasterization.md 4.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats, render_geometry
from milo.cuda_ext.integration import integrate_points

UNSEEN = -100.0   # of points that no view can judge


@torch.no_grad()
def integrated_sdf(points: Tensor, splats: Splats, views: Sequence, scale: SceneScale, *,
                   iso: float = 0.5) -> Tensor:
    """How far the opacity of each point, as the view that sees most of it has it, is below `iso`.

    Args:
        points: [P, 3] world units.
        splats: the Gaussians.
        views: training views, each with a camera and perhaps a mask.
        scale: gives the near plane of the Gaussians and their rasteriser: "gof", where every view counts, or "radegs",
            where a view counts for points in front of or behind what it shows (alpha times mask above one half).
        iso: opacity on the surface.

    Returns:
        [P], positive outside, at most iso; iso - 1 inside; UNSEEN where no view counts.
    """
    least = torch.ones(len(points), dtype=points.dtype, device=points.device)
    counts = torch.full_like(least, scale.rasterizer == "gof", dtype=torch.bool)
    for view in views:
        camera = view.camera
        opacity = integrate_points(points, splats.means, splats.scales, splats.quats, splats.opacities, camera.viewmat,
                                   camera.K, camera.size, rasterizer=scale.rasterizer, near=scale.splat_near)
        if scale.rasterizer == "radegs":
            shown = _shown(points, splats, view, scale)
            opacity = torch.where(shown, opacity, torch.ones_like(opacity))
            counts |= shown
        least = torch.minimum(least, opacity)
    return torch.where(counts, iso - least, torch.full_like(least, UNSEEN))


def _shown(points: Tensor, splats: Splats, view, scale: SceneScale) -> Tensor:
    """[P] bool: the view shows something where the point is."""
    camera = view.camera
    alpha = render_geometry(splats, camera, **scale.drawing).alpha
    if view.mask is not None:
        alpha = alpha * (view.mask.to(alpha.device, alpha.dtype) / 255)
    inner = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    pixel = inner[:, :2] / inner[:, 2:] * camera.K[[0, 1], [0, 1]] + camera.K[:2, 2]
    grid = 2 * pixel / pixel.new_tensor([camera.size[1], camera.size[0]]) - 1
    at_points = F.grid_sample(alpha[None, None], grid[None, None], mode="bilinear", align_corners=False)[0, 0, 0]
    return (inner[:, 2] > scale.splat_near) & (at_points > 0.5)
