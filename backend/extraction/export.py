# SPDX-License-Identifier: Apache-2.0
"""Scenes and runs in the formats of other programs."""

from __future__ import annotations

from pathlib import Path

from milo.backend.config import Config
from milo.backend.data.errors import SceneError
from milo.backend.data.export import export_colmap, export_splat_folder, export_transforms
from milo.backend.data.ply import read_splats
from milo.backend.data.runs import config_of, require_run, scene_of
from milo.backend.data.scene import load_scene, read_posed

FORMATS = ("colmap", "transforms", "3dgs")


def export_as(source: str | Path, output: str | Path, form: str, scene: str | Path | None = None) -> Path:
    """Write a scene's cameras, photos and points as "colmap" or "transforms", or a run as "3dgs" keeps its own.

    Args:
        source: folder of a scene or of a run.
        output: new or empty folder.
        form: one of FORMATS.
        scene: of the run, if it has moved.

    Returns:
        what to give to the other program.

    Raises:
        ValueError: there is no such format, or "3dgs" of something that is not a run.
        SceneError: the source cannot be read, or there is something at the output already.
    """
    source, output = Path(source), Path(output)
    if form not in FORMATS:
        raise ValueError(f"--format {form}: choose {', '.join(FORMATS)}.")
    is_run = (source / "config.json").is_file()
    if form == "3dgs":
        require_run(source, "splats.ply")
    config = config_of(source) if is_run else Config()
    folder = Path(scene) if scene is not None else (scene_of(source) if is_run else source)
    posed = read_posed(folder, config.data)
    if form == "colmap":
        return export_colmap(posed, output).parent.parent
    if form == "transforms":
        return export_transforms(posed, output)
    loaded = load_scene(folder, config.data)
    cameras = [view.camera for view in [*loaded.test, *loaded.train]]
    if not cameras:
        raise SceneError(folder, "there are no cameras in it", "Solve them first")
    export_splat_folder(source / "splats.ply", posed, cameras, output, iteration=config.schedule.iterations,
                        sh_degree=read_splats(source / "splats.ply").sh_degree, scene=folder,
                        images=config.data.images, white_background=config.data.white_background)
    return output
