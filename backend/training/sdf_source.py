# SPDX-License-Identifier: Apache-2.0
"""Where the mesh in the loop takes its signed distance from, if not from depth fusion alone (spec training.md 5.7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from milo.backend.config import Config
from milo.backend.extraction.initial import logits_of_field
from milo.backend.extraction.maps import DepthMaps
from milo.backend.extraction.point_fields import DepthFusionField, Field, IntegrationField, Steps
from milo.backend.mesh.pivots import Pivots
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats
from milo.cuda_ext.tets import TetTopology

ISO = 0.5   # opacity on the surface


class Search(NamedTuple):
    """How zeros are searched on crossing edges; the names are those of the section `extract`."""

    binary_steps: int
    linear_steps: int
    linear_std: float


class Bounded:
    """A field of opacity, cut to [-1, 1], so that what no view has judged weighs no more than the inside (Q14).

    Args:
        field: ISO - opacity.
        linear: as distances in standard deviations of a Gaussian that is opaque at its centre.
    """

    def __init__(self, field: Field, linear: bool):
        self.field, self.linear = field, linear

    def at(self, points: Tensor, stage: str) -> Steps:
        """As Field.at."""
        values = yield from self.field.at(points, stage)
        if self.linear:
            values = sigmas(ISO - values.clamp_min(ISO - 1)) - sigmas(torch.tensor(ISO))
        return values.clamp(-1, 1)


def sigmas(opacity: Tensor) -> Tensor:
    """How many standard deviations from its centre a Gaussian has this opacity."""
    return (-2 * opacity.clamp(1e-10, 1).log()).sqrt()


def occupancy_source(config: Config, views: Sequence,
                     scale: SceneScale) -> Callable[[Splats, Pivots, TetTopology], Tensor] | None:
    """(Gaussians, pivots, their tetrahedra) -> occupancy [n, 9], as configured; None: by depth fusion."""
    mesh = config.mesh
    if mesh.sdf_source == "depth_fusion" and not mesh.sdf_binary_steps:
        return None
    search = Search(mesh.sdf_binary_steps, mesh.sdf_linear_steps, mesh.sdf_linear_std)

    def occupancy(splats: Splats, pivots: Pivots, topology: TetTopology) -> Tensor:
        if mesh.sdf_source == "depth_fusion":
            field = DepthFusionField(views, DepthMaps(splats, views, scale), scale, mesh.carve_masks)
        else:
            field = Bounded(IntegrationField(splats, views, scale, ISO), mesh.sdf_linear)
        steps = logits_of_field(field, pivots, topology, search)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value.sigmoid()

    return occupancy
