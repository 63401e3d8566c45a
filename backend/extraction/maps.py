# SPDX-License-Identifier: Apache-2.0
"""The maps that frozen Gaussians show to each view."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats, render_geometry

CACHE_PIXELS = 100_000_000   # of depth maps that are kept: 0.8 GB


class DepthMaps:
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
        rendered = render_geometry(self.splats, self.views[index].camera, **self.scale.drawing)
        maps = rendered.expected_depth, rendered.median_depth, rendered.radii > 0
        if self.keep:
            self.kept[index] = maps
        return maps
