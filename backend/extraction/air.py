# SPDX-License-Identifier: Apache-2.0
"""Where there is nothing: outside all photos nobody knows, and where views look through without meeting much is air.

The learned occupancy knows neither: a pivot that no photo's depth says anything about counts as occupied, and surface
stands in the air around outlines and before cameras that nobody trained on (docs/options.md, departures).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from milo.backend.rendering.frustum import pixels_of
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats

from .point_fields import Field, IntegrationField, Steps


class SeenField:
    """A field that is positive wherever no photo looks.

    Args:
        field: of all points; views: training views; scale: of the scene.
    """

    def __init__(self, field: Field, views: Sequence, scale: SceneScale):
        self.field, self.views, self.scale = field, views, scale

    def at(self, points: Tensor, stage: str) -> Steps:
        """As Field.at."""
        values = yield from self.field.at(points, stage)
        return torch.where(in_some_photo(points, self.views, self.scale), values, values.abs())


def air(points: Tensor, splats: Splats, views: Sequence, settings, scale: SceneScale) -> Steps:
    """[P] bool: points that lie in no photo, and those up to which even the view that sees most gathers little opacity.

    Args:
        points: [P, 3] world units; splats: frozen; views: training views; scale: of the scene.
        settings: the section extract of the configuration: drop_unseen, air_opacity.
    """
    empty = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    if settings.air_opacity:
        # GOF's way of integration counts every view, also those that show nothing where the point is.
        field = IntegrationField(splats, views, scale._replace(rasterizer="gof"), settings.air_opacity)
        empty = (yield from field.at(points, "air")) > 0
    if settings.drop_unseen:
        empty |= ~in_some_photo(points, views, scale)
    return empty


def in_some_photo(points: Tensor, views: Sequence, scale: SceneScale) -> Tensor:
    """[P] bool: whether a point lies inside the picture of at least one view; what hides it does not matter."""
    seen = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    for view in views:
        seen |= pixels_of(points, view.camera, scale.mesh_near)[0]
    return seen
