# SPDX-License-Identifier: Apache-2.0
"""Values at pivots and mesh vertices from all views: signed distance, occupancy labels, colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from milo.backend.mesh.fields import fused_sdf, occupancy_labels, vertex_colors
from milo.backend.mesh.integration import integrated_sdf
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats

from .cameras import as_camera, scene_extent
from .gaussians import extract_gaussian_pivots
from .meshes import Mesh

Render = Callable[[Any], Mapping[str, Tensor]]


@torch.no_grad()
def compute_initial_sdf_values(
    views: Sequence, render_func: Render | None, means: Tensor, scales: Tensor, rotations: Tensor,
    method: Literal["depth_fusion", "integration"] = "depth_fusion", gaussian_idx: Tensor | None = None,
    scale_pivots_with_downsample_ratio: bool = True, scale_pivots_factor: float | None = None,
    override_pivots: Tensor | None = None, *, truncation: float | None = None, opacities: Tensor | None = None,
    rasterizer: Literal["radegs", "gof"] = "radegs", isosurface: float = 0.5, near: float = 0.01, far: float = 1e10,
) -> Tensor:
    """Signed distance [P] in [-1, 1] at the pivots, positive outside; to learn from, not to keep.

    Args:
        views: training views.
        render_func: (one of views) -> {"depth": [1, H, W] or [H, W] z depth, 0 where empty}; for depth_fusion.
        means, scales, rotations, gaussian_idx, scale_pivots_...: as in `extract_gaussian_pivots`.
        method: "depth_fusion" (-1 where no view judges a pivot), or "integration" of `opacities` along rays.
        override_pivots: [P, 3] instead of the Gaussians' own.
        truncation: of depth fusion, world units; 0.002 scene extents if None.
        opacities: [N] or [N, 1], for integration; rasterizer, isosurface: with it.
        near, far: z depths between which pivots are judged, world units.

    Raises:
        ValueError: what the method needs is missing.
    """
    pivots = override_pivots
    if pivots is None:
        pivots, _ = extract_gaussian_pivots(means, scales, rotations, gaussian_idx, scale_pivots_with_downsample_ratio,
                                            scale_pivots_factor)
    pivots = pivots.detach()
    scale = _scale(views, near, far, truncation)
    cameras = [as_camera(view) for view in views]
    if method == "integration":
        if opacities is None:
            raise ValueError("opacities are needed for method integration.")
        splats = Splats(means, scales, rotations, opacities.reshape(-1), means.new_zeros(len(means), 3),
                        means.new_zeros(len(means), 0, 3), 0).detach()
        scale = scale._replace(rasterizer=rasterizer)
        return integrated_sdf(pivots, splats, cameras, scale, iso=isosurface).clamp(min=-1)
    if method != "depth_fusion":
        raise ValueError(f"method is {method!r}; choose depth_fusion or integration.")
    if render_func is None:
        raise ValueError("render_func is needed for method depth_fusion.")
    depths = (render_func(view)["depth"].detach().float().reshape(camera.size) for view, camera in zip(views, cameras))
    return fused_sdf(pivots, cameras, depths, scale, carve=False)


def occupancy_to_sdf(occupancy: Tensor) -> Tensor:
    """Signed distance of occupancies in (0, 1): (0.5 - o) / 0.495; the inverse is `sdf_to_occupancy`."""
    return (0.5 - occupancy) / 0.495


@torch.no_grad()
def compute_occupancy_labels(views: Sequence, pivots: Tensor, mesh: Mesh, *, near: float = 0.01,
                             far: float = 1e10) -> Tensor:
    """[P] uint8: 0 for pivots [P, 3] that some view sees in front of the mesh, else 1. Pass the unfiltered mesh."""
    cameras = [as_camera(view) for view in views]
    return occupancy_labels(pivots.detach(), mesh.verts.detach(), mesh.faces, cameras, _scale(views, near, far), False)


@torch.no_grad()
def compute_vertex_colors(views: Sequence, mesh: Mesh, *, near: float = 0.01, far: float = 1e10) -> Tensor:
    """[V, 3] in [0, 1]: mean colour of a vertex in the photos that see it; views need an image."""
    cameras = [as_camera(view) for view in views]
    return vertex_colors(mesh.verts.detach(), mesh.faces, cameras, _scale(views, near, far))


def _scale(views: Sequence, near: float, far: float, truncation: float | None = None) -> SceneScale:
    extent = scene_extent(views)
    return SceneScale(extent, 0.2, near, far, 0.002 * extent if truncation is None else truncation)
