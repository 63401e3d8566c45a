# SPDX-License-Identifier: Apache-2.0
"""The mesh of splats on disk, a run's or anybody's, by any method (spec extraction 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from milo.backend.data.ply import write_mesh

from .methods import mesh_of
from .source import open_source
from .steps import ExtractStep


class ExtractionStopped(Exception):
    """The extraction was stopped before there was a mesh."""


def extract(path: str | Path, output: str | Path | None = None, overrides: Iterable[str] = (), *,
            scene: str | Path | None = None, device: str = "cpu",
            on_step: Callable[[ExtractStep], None] = lambda step: None,
            should_stop: Callable[[], bool] = lambda: False) -> Path:
    """Extract and colour the mesh of splats.

    Args:
        path: folder of a run, ours or of the reference, or a PLY with the columns of 3DGS.
        output: the mesh's file; for a run RUN/mesh.ply, or mesh_METHOD.ply if the method is not "learned"; for a PLY
            NAME_mesh.ply beside it.
        overrides: settings that differ from the run's (for a PLY: from the defaults): "section.key=value".
        scene: folder of the photos and cameras, or a cameras.json of 3DGS. Needed for a PLY; for a run if its scene has
            moved.
        device: where it is done.
        on_step: called after each step.
        should_stop: asked after each step; when it turns true the extraction ends and nothing is written.

    Returns:
        the mesh's path.

    Raises:
        SceneError: splats or scene cannot be read.
        ConfigError: an override is not valid.
        ExtractionStopped: should_stop said so.
    """
    source = open_source(path, scene, overrides, device)
    output = Path(output) if output is not None else source.output
    generator = torch.Generator().manual_seed(source.config.run.seed)
    for result in mesh_of(source.splats, source.logits, source.views, source.config, source.scale, generator):
        if not isinstance(result, ExtractStep):
            write_mesh(output, *(tensor.cpu().numpy() for tensor in result))
            return output
        on_step(result)
        if should_stop():
            raise ExtractionStopped
    raise RuntimeError("the extraction ended without a mesh")
