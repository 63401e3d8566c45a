# SPDX-License-Identifier: Apache-2.0
"""The mesh of a finished run once more, from its splats, with other settings (spec extraction 1.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from milo.backend.config import with_overrides
from milo.backend.data.ply import write_mesh
from milo.backend.data.runs import config_of, require_run, scene_of
from milo.backend.data.scene import load_scene
from milo.backend.gaussians.files import load_gaussians
from milo.backend.rendering.scale import scene_scale

from .refine import RefineStep, refine_and_extract


def extract(run_dir: str | Path, output: str | Path | None = None, overrides: Iterable[str] = (), *,
            scene: str | Path | None = None, on_step: Callable[[RefineStep], None] = lambda step: None) -> Path:
    """Refine the occupancy stored in a run's splats, and extract and colour the mesh.

    Args:
        run_dir: folder of the run, with config.json and splats.ply.
        output: the mesh's file; RUN/mesh.ply if None.
        overrides: settings that differ from the run's: "section.key=value".
        scene: the scene's folder, if it has moved.
        on_step: called after each step of the refinement.

    Returns:
        the mesh's path.

    Raises:
        SceneError: the run or its scene cannot be read.
        ConfigError: an override is not valid.
    """
    run_dir = Path(run_dir)
    require_run(run_dir, "splats.ply")
    config = with_overrides(config_of(run_dir), overrides)
    loaded = load_scene(scene or scene_of(run_dir), config.data)
    gaussians = load_gaussians(run_dir / "splats.ply")
    logits = gaussians.base_occupancy + gaussians.occupancy_shift.detach()
    generator = torch.Generator().manual_seed(config.run.seed)
    output = Path(output) if output is not None else run_dir / "mesh.ply"
    for result in refine_and_extract(gaussians.splats(), logits, loaded.train, config,
                                     scene_scale(config, loaded.extent), generator):
        if isinstance(result, RefineStep):
            on_step(result)
        else:
            write_mesh(output, *(tensor.cpu().numpy() for tensor in result))
    return output
