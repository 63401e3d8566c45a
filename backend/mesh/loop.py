# SPDX-License-Identifier: Apache-2.0
"""The mesh in the loop: from the Gaussians of this iteration to the losses of this view (spec training.md 5.10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from milo.backend.gaussians.pivot_choice import PivotChoice
from milo.backend.rendering.meshes import render_mesh
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats
from milo.cuda_ext.depth_normals import depth_normals
from milo.cuda_ext.tets import TetTopology

from .events import mesh_events
from .fields import fused_sdf, median_depths, occupancy_labels
from .losses import center_loss, depth_loss, label_loss, normal_loss
from .occupancy import occupancy_from_sdf, reset_occupancy, sdf_from_logits
from .pivots import Pivots, from_pivot_order, gaussian_pivots, to_pivot_order
from .surface import Surface, extract_surface
from .triangulation import Triangulation


class MeshLosses(NamedTuple):
    """What the mesh adds to an iteration; terms are weighted, for the log."""

    total: Tensor
    terms: dict[str, Tensor]
    vertices: int


class MeshInLoop:
    """Pivots, triangulation and labels between iterations.

    Args:
        config: the `mesh` section of the configuration.
        views: all training views, full resolution.
        scale: of the scene.
        choose: () -> the Gaussians that carry pivots, or None for all of them.
    """

    def __init__(self, config, views: Sequence, scale: SceneScale, choose: Callable[[], PivotChoice | None]):
        self.config, self.views, self.scale, self.choose = config, views, scale, choose
        self.chosen: Tensor | None = None       # [n] indices, ascending
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
        share = 1.0 if self.chosen is None else len(self.chosen) / len(splats.means)
        return gaussian_pivots(self._pick(splats.means), self._pick(splats.scales), self._pick(splats.quats), share)

    def logits(self, gaussians) -> Tensor:
        """Occupancy logits [n, 9] of the chosen Gaussians; differentiable in the shift."""
        return self._pick(gaussians.base_occupancy) + self._pick(gaussians.occupancy_shift)

    def surface(self, gaussians, splats: Splats) -> Surface:
        """The mesh of this moment, with the last triangulation."""
        sdf = sdf_from_logits(to_pivot_order(self.logits(gaussians)))
        return extract_surface(self.pivots(splats), sdf, self.topology)

    # -- one iteration -----------------------------------------------------------------------------------------------

    def losses(self, gaussians, splats: Splats, view, rendered, k: int) -> MeshLosses:
        """Mesh losses of due iteration k.

        Args:
            gaussians: the model; its occupancy is rewritten in place when the field is fused again.
            splats: its activated Gaussians, the very tensors that were rendered (one graph, one backward).
            view: the training view of this iteration, full resolution.
            rendered: the Gaussians' GeometryRender of that view.
            k: iteration, from 1.
        """
        config = self.config
        events = mesh_events(config, k)
        fresh = self.topology is None
        if fresh or k == config.start_iter:
            self.chosen, self.on_surface = self.choose() or (None, None)
        pivots = self.pivots(splats)
        self.triangulation.update(k, pivots.points, events.delaunay)
        if fresh or events.sdf:
            self._fuse(gaussians, splats.detach(), pivots.points.detach())
        logits = to_pivot_order(self.logits(gaussians))
        surface = extract_surface(pivots, sdf_from_logits(logits), self.topology)
        if self.labels is None or events.labels:
            self.labels = occupancy_labels(pivots.points.detach(), surface.verts.detach(), surface.all_faces,
                                           self.views, self.scale, config.carve_masks)
        terms = view_terms(config, surface, view, rendered.expected_depth, rendered.median_depth, self.scale)
        terms |= field_terms(config, from_pivot_order(logits), logits, self.labels, self.on_surface)
        terms = {name: term * config.every for name, term in terms.items()}
        return MeshLosses(sum(terms.values()), terms, len(surface.verts))

    @torch.no_grad()
    def _fuse(self, gaussians, splats: Splats, points: Tensor) -> None:
        value = fused_sdf(points, self.views, median_depths(splats, self.views, self.scale), self.scale,
                          self.config.carve_masks)
        observed = occupancy_from_sdf(from_pivot_order(value))
        base, shift = reset_occupancy(self._pick(gaussians.base_occupancy), self._pick(gaussians.occupancy_shift),
                                      observed, self.config.reset_alpha)
        rows = slice(None) if self.chosen is None else self.chosen
        gaussians.base_occupancy[rows] = base
        gaussians.occupancy_shift[rows] = shift

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        """Tensors that a later run needs to go on exactly here; empty if the mesh has not begun."""
        if self.topology is None:
            return {}
        return self.triangulation.state_dict() | {"labels": self.labels, "chosen": self.chosen,
                                                  "on_surface": self.on_surface}

    def load_state_dict(self, state: dict, pivot_count: int) -> None:
        """Inverse of state_dict; pivot_count = 9 x the Gaussians that carry pivots."""
        if state:
            self.chosen, self.on_surface, self.labels = state["chosen"], state["on_surface"], state["labels"]
            self.triangulation.load_state_dict(state, pivot_count)


def view_terms(config, surface: Surface, view, expected_depth: Tensor, median_depth: Tensor,
               scale: SceneScale) -> dict[str, Tensor]:
    """Weighted depth and normal losses between the mesh and the Gaussians' maps [H, W] of one view."""
    mesh = render_mesh(surface.verts, surface.faces, view.camera, scale, antialiased=config.antialias,
                       rasterizer=config.rasterizer)
    ratio, K = config.depth_ratio, view.camera.K
    depth, normal = median_depth, depth_normals(median_depth, K)
    if ratio < 1:
        depth = (1 - ratio) * expected_depth + ratio * median_depth
        normal = (1 - ratio) * depth_normals(expected_depth, K) + ratio * normal
    return {"mesh_depth": config.depth_weight * depth_loss(mesh.depth, depth, scale.extent),
            "mesh_normal": config.normal_weight * normal_loss(mesh.normal, normal, mesh.depth)}


def field_terms(config, logits: Tensor, pivot_logits: Tensor, labels: Tensor,
                on_surface: Tensor | None = None) -> dict[str, Tensor]:
    """Weighted losses on the occupancy itself: logits [n, 9], the same in pivot order [9n], labels [9n].

    Only Gaussians on_surface ([n] bool, None = all) have their centres pulled inside.
    """
    inner = logits if on_surface is None else logits[on_surface]
    return {"centers": config.centers_weight * center_loss(inner),
            "labels": config.labels_weight * label_loss(pivot_logits, labels, config.label_loss)}
