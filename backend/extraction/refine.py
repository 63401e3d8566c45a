# SPDX-License-Identifier: Apache-2.0
"""The learned signed distance, refined with the Gaussians frozen, and the final mesh (spec extraction 1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from milo.backend.mesh.fields import fused_sdf, occupancy_labels, vertex_colors
from milo.backend.mesh.loop import field_terms, view_terms
from milo.backend.mesh.occupancy import occupancy_from_sdf, sdf_from_logits
from milo.backend.mesh.pivots import from_pivot_order, gaussian_pivots, to_pivot_order
from milo.backend.mesh.surface import compact, extract_surface, triangulate
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats, render_geometry
from milo.cuda_ext.adam import sparse_adam_step

CACHE_PIXELS = 100_000_000   # of depth maps that are kept between steps: 0.8 GB


class RefineStep(NamedTuple):
    """One step of the refinement, for whoever watches."""

    iteration: int
    iterations: int
    loss: float
    vertices: int


class ColoredMesh(NamedTuple):
    """A finished mesh in world units."""

    verts: Tensor    # [V, 3] float32
    faces: Tensor    # [F, 3] int32
    colors: Tensor   # [V, 3] uint8


def refine_and_extract(splats: Splats, logits: Tensor, views: Sequence, config, scale: SceneScale,
                       generator: torch.Generator) -> Iterator[RefineStep | ColoredMesh]:
    """Refine the occupancy of frozen Gaussians, then extract and colour the mesh.

    Gaussians that never carried pivots (all nine logits 0) are left out; if none ever did, all are used and their
    signed distance starts from depth fusion.

    Args:
        splats: activated Gaussians.
        logits: [N, 9] occupancy logits, base + shift.
        views: training views with photos.
        config: the whole configuration (sections mesh and extract).
        scale: of the scene.
        generator: draws the order of the views.

    Yields:
        a RefineStep per step, then one ColoredMesh.
    """
    settings = config.extract
    splats, logits = splats.detach(), logits.detach()
    maps = _Maps(splats, views, scale)
    chosen = logits.abs().amax(dim=1) > 0
    if not chosen.any():
        chosen = torch.ones_like(chosen)
    share = float(chosen.float().mean())
    pivots = gaussian_pivots(splats.means[chosen], splats.scales[chosen], splats.quats[chosen], share)
    topology = triangulate(pivots.points)
    logits = logits[chosen]
    if not logits.any():
        value = fused_sdf(pivots.points, views, (maps[i][1] for i in range(len(views))), scale, config.mesh.carve_masks)
        logits = torch.logit(occupancy_from_sdf(from_pivot_order(value)))
    logits = logits.clone().requires_grad_()
    moments = torch.zeros_like(logits), torch.zeros_like(logits)
    stack: list[int] = []
    labels = None
    for step in range(settings.refine_iters):
        if not stack:
            stack = torch.randperm(len(views), generator=generator).tolist()
        index = stack.pop()
        expected, median, visible = maps[index]
        flat = to_pivot_order(logits)
        surface = extract_surface(pivots, sdf_from_logits(flat), topology)
        if step % settings.labels_interval == 0:
            labels = occupancy_labels(pivots.points, surface.verts.detach(), surface.all_faces, views, scale,
                                      config.mesh.carve_masks)
        terms = view_terms(config.mesh, surface, views[index], expected, median, scale)
        terms |= field_terms(config.mesh, logits, flat, labels)
        loss = sum(terms.values())
        (grad,) = torch.autograd.grad(loss, logits)
        with torch.no_grad():
            sparse_adam_step(logits, grad, *moments, visible[chosen], settings.refine_lr, step + 1)
        yield RefineStep(step + 1, settings.refine_iters, float(loss.detach()), len(surface.verts))
    with torch.no_grad():
        surface = extract_surface(pivots, sdf_from_logits(to_pivot_order(logits)), topology)
        verts, faces = compact(surface.verts, surface.faces)
        colors = vertex_colors(verts, faces, views, scale)
    yield ColoredMesh(verts, faces, (colors * 255).round().to(torch.uint8))


class _Maps:
    """Expected depth, median depth and visible Gaussians of each view. The Gaussians are frozen, so a view is rendered
    once, as long as all maps together stay small."""

    def __init__(self, splats: Splats, views: Sequence, scale: SceneScale):
        self.splats, self.views, self.scale = splats, views, scale
        self.kept: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self.keep = sum(view.camera.width * view.camera.height for view in views) <= CACHE_PIXELS

    @torch.no_grad()
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        if index in self.kept:
            return self.kept[index]
        rendered = render_geometry(self.splats, self.views[index].camera, near=self.scale.splat_near)
        maps = rendered.expected_depth, rendered.median_depth, rendered.radii > 0
        if self.keep:
            self.kept[index] = maps
        return maps
