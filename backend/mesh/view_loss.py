# SPDX-License-Identifier: Apache-2.0
"""Weighted losses between the mesh and the Gaussians' maps of one view (spec training.md 4.4)."""

from __future__ import annotations

from torch import Tensor

from milo.backend.rendering.frustum import faces_in_view
from milo.backend.rendering.meshes import MeshRender, render_mesh
from milo.backend.rendering.scale import SceneScale
from milo.cuda_ext.depth_normals import depth_normals
from milo.cuda_ext.mesh_losses import view_loss

from .surface import Surface


def view_terms(config, surface: Surface, view, expected_depth: Tensor, median_depth: Tensor, scale: SceneScale,
               normal: Tensor | None = None) -> dict[str, Tensor]:
    """Depth and normal loss.

    Args:
        config: section `mesh` of the configuration.
        expected_depth, median_depth: [H, W] of the Gaussians; normal: [3, H, W] theirs as rendered, where there is one.
    """
    if config.detach_splats:
        expected_depth, median_depth = expected_depth.detach(), median_depth.detach()
        normal = None if normal is None else normal.detach()
    faces = faces_in_view(surface.verts, surface.faces, view.camera, scale) if config.frustum_filter else surface.faces
    mesh = render_mesh(surface.verts, faces, view.camera, scale, antialiased=config.antialias,
                       rasterizer=config.rasterizer)
    if config.normal_source == "depth":
        normal = None
    if config.depth_loss == "log" and normal is None:
        depth_term, normal_term = view_loss(
            mesh.depth, mesh.normal, median_depth, view.camera.exact.K, scale.extent, expected_depth=expected_depth,
            median_share=config.depth_ratio, depth_weight=config.every * config.depth_weight,
            normal_weight=config.every * config.normal_weight)
    else:
        depth_term, normal_term = _other_loss(config, mesh, expected_depth, median_depth, normal, view.camera.K,
                                              scale.extent)
    return {"mesh_depth": depth_term, "mesh_normal": normal_term}


def _other_loss(config, mesh: MeshRender, expected: Tensor, median: Tensor, normal: Tensor | None, K: Tensor,
                extent: float) -> tuple[Tensor, Tensor]:
    """The same in plain torch, for what `view_loss` has no kernel for; normal [3, H, W], None = that of the depths."""
    ratio, there = config.depth_ratio, mesh.depth.detach() > 0
    of_depth = (1 - ratio) * depth_normals(expected, K) + ratio * depth_normals(median, K)
    if config.depth_loss == "normal":
        depth_term = 1 - (depth_normals(mesh.depth, K) * of_depth).sum(0)
    else:
        depth_term = ((mesh.depth - (1 - ratio) * expected - ratio * median).abs() / extent).log1p()
    normal_term = 1 - (mesh.normal * (of_depth if normal is None else normal)).sum(0).abs()
    return (config.every * config.depth_weight * (depth_term * there).mean(),
            config.every * config.normal_weight * (normal_term * there).mean())
