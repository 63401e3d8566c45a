# SPDX-License-Identifier: Apache-2.0
"""The learned signed distance, refined with the Gaussians frozen, and the final mesh (spec extraction 1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from milo.backend.mesh.fields import occupancy_labels
from milo.backend.mesh.loop import field_terms
from milo.backend.mesh.pivots import from_pivot_order, gaussian_pivots
from milo.backend.mesh.surface import extract_surface, triangulate
from milo.backend.mesh.view_loss import view_terms
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats
from milo.cuda_ext.adam import sparse_adam_step
from milo.cuda_ext.pivots import field
from milo.cuda_ext.tets import marching_tetrahedra

from .air import air
from .choice import chosen_gaussians, chosen_share
from .finish import finished
from .initial import logits_of_field
from .maps import DepthMaps
from .point_fields import point_field
from .steps import ColoredMesh, ExtractStep

LOSS_INTERVAL = 10   # steps between two that tell their loss: on a GPU it costs a wait


def refine_and_extract(splats: Splats, logits: Tensor, views: Sequence, config, scale: SceneScale,
                       generator: torch.Generator) -> Iterator[ExtractStep | ColoredMesh]:
    """Refine the occupancy of frozen Gaussians, then extract and colour the mesh.

    Gaussians that never carried pivots (all nine logits 0) are left out; if none ever did, all are used, and for
    extract.init "learned" their occupancy starts from depth fusion.

    Args:
        splats: activated Gaussians.
        logits: [N, 9] occupancy logits, base + shift.
        views: training views with photos.
        config: the whole configuration (sections mesh and extract).
        scale: of the scene.
        generator: draws the order of the views.

    Yields:
        an ExtractStep per step, then one ColoredMesh.
    """
    verts, faces = yield from _refined(splats.detach(), logits.detach(), views, config, scale, generator)
    yield finished(verts, faces, views, config, scale)   # what refined it is gone: colours need memory of their own


def _refined(splats: Splats, logits: Tensor, views: Sequence, config, scale: SceneScale, generator: torch.Generator):
    """Yields ExtractSteps; returns verts [V, 3], faces [F, 3] int32."""
    settings = config.extract
    maps = DepthMaps(splats, views, scale)
    rows = chosen_gaussians(splats, logits, views, config, scale, generator)
    pivots = gaussian_pivots(splats.means[rows], splats.scales[rows], splats.quats[rows],
                             chosen_share(rows, splats, config))
    topology = triangulate(pivots.points)
    logits = logits[rows]
    if settings.init != "learned" or not logits.any():
        kind = "depth_fusion" if settings.init == "learned" else settings.init
        observed = point_field(kind, splats, views, maps, config, scale)
        logits = yield from logits_of_field(observed, pivots, topology, settings)
    empty = yield from air(pivots.points, splats, views, settings, scale)
    logits = torch.where(from_pivot_order(empty), -logits.abs(), logits)
    base, shift = logits.contiguous(), torch.zeros_like(logits).requires_grad_()
    moments, one = (torch.zeros_like(shift), torch.zeros_like(shift)), torch.ones((), device=shift.device)
    stack: list[int] = []
    labels = None
    for step in range(settings.refine_iters):
        if not stack:
            stack = torch.randperm(len(views), generator=generator).tolist()
        index = stack.pop()
        if step % settings.labels_interval == 0:
            verts, faces, _ = marching_tetrahedra(pivots.points, field(base, shift.detach())[0], topology)
            labels = occupancy_labels(pivots.points, verts, faces, views, scale, config.mesh.carve_masks,
                                      config.mesh.frustum_filter)
        expected, median, visible = maps[index]
        sdf, terms = field_terms(config.mesh, base, shift, labels)
        surface = extract_surface(pivots, sdf, topology, config.mesh.long_edges)
        terms |= view_terms(config.mesh, surface, views[index], expected, median, scale)
        with torch.autograd.set_multithreading_enabled(False):   # a second thread costs more
            (grad,) = torch.autograd.grad(list(terms.values()), shift, [one] * len(terms))
        done = step / settings.refine_iters
        rate = (1 - done) * settings.refine_lr + done * settings.refine_lr_final
        sparse_adam_step(shift, grad, *moments, visible[rows], rate, step + 1)
        told = step % LOSS_INTERVAL == 0 or step + 1 == settings.refine_iters
        loss = float(sum(term.detach() for term in terms.values())) if told else None
        yield ExtractStep("refine", step + 1, settings.refine_iters, loss, len(surface.verts))
    sdf, _, _ = field(base, shift.detach())
    surface = extract_surface(pivots, torch.where(empty, sdf.abs(), sdf), topology, config.mesh.long_edges)
    return surface.verts.detach(), surface.faces
