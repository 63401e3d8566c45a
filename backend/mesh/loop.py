# SPDX-License-Identifier: Apache-2.0
"""The mesh in the loop: from the Gaussians of this iteration to the losses of this view (spec training.md 5.10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from milo.backend.gaussians.pivot_choice import PivotChoice
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats
from milo.cuda_ext.pivots import field
from milo.cuda_ext.tets import TetTopology, marching_tetrahedra

from .events import mesh_events
from .fields import fused_sdf, median_depths, occupancy_labels
from .occupancy import occupancy_from_sdf, reset_occupancy
from .pivots import Pivots, from_pivot_order, gaussian_pivots
from .surface import Surface, SurfaceAhead, extract_surface, surface_ahead
from .triangulation import Triangulation
from .view_loss import view_terms


class MeshLosses(NamedTuple):
    """What the mesh adds to an iteration; terms are weighted."""

    terms: dict[str, Tensor]
    vertices: int


class MeshAhead(NamedTuple):
    """The mesh of an iteration before it is drawn, and the losses on its field."""

    surface: SurfaceAhead
    terms: dict[str, Tensor]


class MeshInLoop:
    """Pivots, triangulation and labels between iterations.

    Args:
        config: the `mesh` section of the configuration.
        views: all training views, full resolution.
        scale: of the scene.
        choose: () -> the Gaussians that carry pivots, or None for all of them.
        observe: (Gaussians, pivots, their tetrahedra) -> occupancy [n, 9] of the field; None: by depth fusion.
    """

    def __init__(self, config, views: Sequence, scale: SceneScale, choose: Callable[[], PivotChoice | None],
                 observe: Callable[[Splats, Pivots, TetTopology], Tensor] | None = None):
        self.config, self.views, self.scale, self.choose, self.observe = config, views, scale, choose, observe
        self.chosen: Tensor | None = None       # [n] int32 indices, ascending
        self.candidates: int | None = None      # Gaussians they were chosen from; None = all
        self.on_surface: Tensor | None = None   # [n] bool; centres of the others may leave the inside (4.4)
        self.triangulation = Triangulation(config.delaunay_lag)
        self.labels: Tensor | None = None

    @property
    def topology(self) -> TetTopology | None:
        """Of the pivots, as the last triangulation left it; None before the mesh begins."""
        return self.triangulation.topology

    def invalidate(self) -> None:
        """Forget everything that refers to Gaussians by index; the next due iteration starts afresh."""
        self.chosen = self.on_surface = self.labels = None
        self.triangulation.drop()

    # -- what the Gaussians say now ----------------------------------------------------------------------------------

    def _pick(self, values: Tensor) -> Tensor:
        return values if self.chosen is None else values.index_select(0, self.chosen)

    def pivots(self, splats: Splats) -> Pivots:
        """Pivots of the chosen Gaussians."""
        share = 1.0 if self.chosen is None else len(self.chosen) / (self.candidates or len(splats.means))
        return gaussian_pivots(splats.means, splats.scales, splats.quats, share, self.chosen)

    def surface(self, gaussians, splats: Splats) -> Surface:
        """The mesh of this moment, with the last triangulation."""
        sdf, _, _ = field(gaussians.base_occupancy, gaussians.occupancy_shift, self.chosen)
        return extract_surface(self.pivots(splats), sdf, self.topology, self.config.long_edges)

    # -- one iteration -----------------------------------------------------------------------------------------------

    def begin(self, gaussians, splats: Splats, k: int) -> MeshAhead:
        """The mesh of due iteration k, as far as that goes without waiting for the GPU.

        Args:
            gaussians: the model; its occupancy is rewritten in place when the field is fused again.
            splats: its activated Gaussians, the very tensors that are rendered (one graph, one backward).
            k: iteration, from 1.
        """
        config = self.config
        events = mesh_events(config, k)
        fresh = self.topology is None
        redrawn = config.redraw and events.delaunay and not fresh
        if redrawn:
            self.invalidate()
        if fresh or redrawn or k == config.start_iter:
            self._choose()
        pivots = self.pivots(splats)
        self.triangulation.update(k, pivots.points, events.delaunay)
        if fresh or events.sdf:
            self._fuse(gaussians, splats.detach(), pivots, config.reset_alpha)
        elif redrawn:   # those that carry pivots for the first time
            self._fuse(gaussians, splats.detach(), pivots, alpha=0.0)
        if self.labels is None or events.labels:
            self._label(gaussians, pivots.points.detach())
        sdf, terms = field_terms(config, gaussians.base_occupancy, gaussians.occupancy_shift, self.labels, self.chosen,
                                 self.on_surface)
        return MeshAhead(surface_ahead(pivots, sdf, self.topology, config.long_edges), terms)

    def losses(self, ahead: MeshAhead, view, rendered, counts: list[int] | None = None) -> MeshLosses:
        """Losses of the mesh that `begin` has left.

        Args:
            ahead: of this iteration.
            view: the training view of this iteration, full resolution.
            rendered: the Gaussians' GeometryRender of that view.
            counts: what ahead.surface.counts holds, if the host has read it; None: read it here, which waits.
        """
        surface = ahead.surface.surface(counts)
        terms = view_terms(self.config, surface, view, rendered.expected_depth, rendered.median_depth, self.scale,
                           rendered.normal)
        return MeshLosses(terms | ahead.terms, len(surface.verts))

    def _choose(self) -> None:
        chosen = self.choose()
        self.chosen, self.on_surface = (None, None) if chosen is None else (chosen.rows.int(), chosen.on_surface)
        self.candidates = None if chosen is None else chosen.candidates

    @torch.no_grad()
    def _label(self, gaussians, points: Tensor) -> None:
        """New labels from the mesh with all its faces, also those on long edges (5.9)."""
        sdf, _, _ = field(gaussians.base_occupancy, gaussians.occupancy_shift, self.chosen)
        verts, faces, _ = marching_tetrahedra(points, sdf, self.topology)
        self.labels = occupancy_labels(points, verts, faces, self.views, self.scale, self.config.carve_masks,
                                       self.config.frustum_filter)

    @torch.no_grad()
    def _fuse(self, gaussians, splats: Splats, pivots: Pivots, alpha: float) -> None:
        if self.observe is None:
            value = fused_sdf(pivots.points.detach(), self.views, median_depths(splats, self.views, self.scale),
                              self.scale, self.config.carve_masks)
            observed = occupancy_from_sdf(from_pivot_order(value))
        else:
            observed = self.observe(splats, Pivots(*(part.detach() for part in pivots)), self.topology)
        base, shift = reset_occupancy(self._pick(gaussians.base_occupancy), self._pick(gaussians.occupancy_shift),
                                      observed, alpha)
        rows = slice(None) if self.chosen is None else self.chosen.long()
        gaussians.base_occupancy[rows] = base
        gaussians.occupancy_shift[rows] = shift

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        """Tensors that a later run needs to go on exactly here; empty if the mesh has not begun."""
        if self.topology is None:
            return {}
        return self.triangulation.state_dict() | {"labels": self.labels, "chosen": self.chosen,
                                                  "on_surface": self.on_surface, "candidates": self.candidates}

    def load_state_dict(self, state: dict, pivot_count: int) -> None:
        """Inverse of state_dict; pivot_count = 9 x the Gaussians that carry pivots."""
        if state:
            self.chosen, self.on_surface, self.labels = state["chosen"], state["on_surface"], state["labels"]
            self.candidates = state.get("candidates")
            self.triangulation.load_state_dict(state, pivot_count)


def field_terms(config, base: Tensor, shift: Tensor, labels: Tensor, rows: Tensor | None = None,
                on_surface: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
    """Signed distance [9n] in pivot order, and the weighted losses on the occupancy itself.

    Args:
        base, shift: [N, 9] logits, of which the shift is learned; labels: [9n].
        rows: [n] int32, Gaussians that carry pivots; None = all.
        on_surface: [n] bool, those whose centres are pulled inside; None = all.
    """
    sdf, centers, inside = field(base, shift, rows, labels, on_surface, label_kind=config.label_loss,
                                 center_weight=config.every * config.centers_weight,
                                 label_weight=config.every * config.labels_weight)
    return sdf, {"centers": centers, "labels": inside}
