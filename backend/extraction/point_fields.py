# SPDX-License-Identifier: Apache-2.0
"""Fields of frozen Gaussians at any points, over all training views, and where they cross zero (spec extraction 1.2).

A field is positive outside and negative inside. Its evaluation goes view by view and is a generator, so that whoever
runs it sees it move and may stop it: `values = yield from field.at(points, "field")`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from milo.backend.mesh.fields import fuse_in_turn
from milo.backend.mesh.integration import UNSEEN, integrated_sdf
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats

from .maps import DepthMaps
from .steps import ExtractStep

Steps = Generator[ExtractStep, None, Tensor]


class Field(Protocol):
    """A field that is evaluated over all views."""

    def at(self, points: Tensor, stage: str) -> Steps:
        """Values [P] at points [P, 3], world units; a step with the name `stage` per view."""


class DepthFusionField:
    """Mean truncated distance to the median depth of each view; -1 where no view judges the point.

    Args:
        views: training views; maps: the depths they see.
        scale: of the scene.
        carve: what the photos' masks call background is free space.
    """

    def __init__(self, views: Sequence, maps: DepthMaps, scale: SceneScale, carve: bool):
        self.views, self.maps, self.scale, self.carve = views, maps, scale, carve

    def at(self, points: Tensor, stage: str) -> Steps:
        """As Field.at; values in [-1, 1]."""
        value = points.new_full(points.shape[:1], -1.0)
        depths = (self.maps[index][1] for index in range(len(self.views)))
        fusing = fuse_in_turn(value, points, self.views, depths, self.scale, self.carve)
        for index, _ in enumerate(fusing):
            yield ExtractStep(stage, index + 1, len(self.views), None, 0)
        return value


class IntegrationField:
    """How far the opacity that a ray gathers up to a point, in the view that sees most of it, is below `iso`.

    Args:
        splats: the Gaussians; views: training views.
        scale: of the scene.
        iso: opacity on the surface.
    """

    def __init__(self, splats: Splats, views: Sequence, scale: SceneScale, iso: float):
        self.splats, self.views, self.scale, self.iso = splats, views, scale, iso

    @torch.no_grad()
    def at(self, points: Tensor, stage: str) -> Steps:
        """As Field.at; values up to iso, UNSEEN where no view counts."""
        value = torch.full(points.shape[:1], UNSEEN, dtype=points.dtype, device=points.device)
        for index, view in enumerate(self.views):
            of_view = integrated_sdf(points, self.splats, [view], self.scale, iso=self.iso)
            value = torch.maximum(value, of_view)    # the least opacity of all views
            yield ExtractStep(stage, index + 1, len(self.views), None, 0)
        return value


@torch.no_grad()
def bisected(field: Field, ends: Tensor, outside: Tensor, steps: int) -> Steps:
    """Where a field crosses zero on segments: bisection from their ends.

    Args:
        field: is evaluated `steps` times.
        ends: [M, 2, 3] world units; the field has different signs at the two ends.
        outside: [M, 2] bool: field > 0 there.
        steps: halvings; 0 gives the midpoints.

    Returns:
        [M, 3] the midpoints of what is left of the segments.
    """
    ends, outside = ends.clone(), outside[:, 0]      # the sign of end 0 stays through the search
    for step in range(steps):
        middle = ends.mean(dim=1)
        values = yield from field.at(middle, f"bisect {step + 1}/{steps}")
        first = (values > 0) == outside              # the middle replaces the end of the same sign
        ends[first, 0] = middle[first]
        ends[~first, 1] = middle[~first]
    return ends.mean(dim=1)


def point_field(kind: str, splats: Splats, views: Sequence, maps: DepthMaps, config, scale: SceneScale) -> Field:
    """The field "depth_fusion" or "integration" of frozen Gaussians."""
    if kind == "depth_fusion":
        return DepthFusionField(views, maps, scale, config.mesh.carve_masks)
    return IntegrationField(splats, views, scale, config.extract.isosurface)
