# SPDX-License-Identifier: Apache-2.0
"""One door to all ways of making a mesh from finished Gaussians."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats

from .crossings import cross_and_extract
from .grid import fuse_and_extract
from .refine import refine_and_extract
from .steps import ColoredMesh, ExtractStep


def mesh_of(splats: Splats, logits: Tensor, views: Sequence, config, scale: SceneScale,
            generator: torch.Generator) -> Iterator[ExtractStep | ColoredMesh]:
    """The mesh of finished Gaussians by the method that extract.method names.

    Args:
        splats: activated Gaussians.
        logits: [N, 9] occupancy logits, base + shift; 0 where nothing was learned.
        views: training views with photos.
        config: the whole configuration.
        scale: of the scene; extract.rasterizer may name another rasteriser, extract.low_pass says how wide to draw.
        generator: draws, where a method draws.

    Yields:
        ExtractSteps, then one ColoredMesh.
    """
    method = config.extract.method
    scale = scale._replace(low_pass=config.extract.low_pass)
    if config.extract.rasterizer != "model":
        scale = scale._replace(rasterizer=config.extract.rasterizer)
    if method == "learned":
        return refine_and_extract(splats, logits, views, config, scale, generator)
    if method in ("tsdf", "dtu"):
        return fuse_and_extract(splats, views, config.dtu if method == "dtu" else config.tsdf, config, scale)
    return cross_and_extract(method, splats, logits, views, config, scale, generator)


def steps_ahead(config, views: int, learned: bool) -> tuple[int, int]:
    """How many steps `mesh_of` yields: of fields, a view each, and of the refinement. (0, 0): a grid does not know.

    Args:
        config: section extract of the configuration.
        views: number of training views; learned: some logit is not 0.
    """
    settings = config.extract
    if settings.method in ("tsdf", "dtu"):
        return 0, 0
    searched = settings.method != "learned" or settings.init != "learned" or not learned
    fields = (1 + settings.binary_steps) * searched
    if settings.method != "learned":
        return fields * views, 0
    return (fields + bool(settings.air_opacity)) * views, settings.refine_iters
