# SPDX-License-Identifier: Apache-2.0
"""From distorted cameras and photos to a scene of pinhole cameras."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from milo.backend.data.colmap import find_model, model_file, read_images
from milo.backend.data.errors import ImageError, listed
from milo.backend.data.masks import find_mask

from .child import Stopped, run_solver
from .events import Aligned, AlignProgress
from .options import AlignError
from .work_folder import WorkFolder

UNMOVED = np.eye(4)[:3]


def undistort_scene(scene: Path, output: Path, *,
                    should_stop: Callable[[], bool] = lambda: False) -> Iterator[AlignProgress | Aligned]:
    """Write a scene with a COLMAP model of any camera model as one with pinhole cameras, in the same frame.

    Args:
        scene: folder with images/, sparse/, and masks/ where there are masks.
        output: folder of the new scene; made if it is not there.

    Yields:
        AlignProgress, and Aligned at the end.

    Raises:
        SceneError: there is no model, photos of it are missing, or COLMAP cannot read it.
    """
    check_output(scene, output)
    if not (scene / "sparse").is_dir():
        raise AlignError(scene, "there is no COLMAP model (sparse/) in it", "Give a scene folder, or align its photos")
    model = find_model(scene)
    names = [record.name for record in read_images(model_file(model, "images"))]
    missing = sorted(name for name in names if not (scene / "images" / name).is_file())
    if missing:
        raise ImageError(scene / "images", f"{len(missing)} of {len(names)} images are missing: {listed(missing)}",
                         "Put them back, or remove them from the model")
    masks = {name: find_mask(scene / "masks", name) for name in names}
    files = {name: [str((scene / "images" / name).resolve()), str(mask.resolve()) if mask else None]
             for name, mask in masks.items()}
    folder = WorkFolder(output / ".align")
    folder.path.mkdir(parents=True, exist_ok=True)
    try:
        yield from undistorted(folder, model.resolve(), files, UNMOVED, 0, should_stop)
    except Stopped:
        yield Aligned(None, None, {}, stopped=True)
        return
    move_scene(folder, output)
    shutil.rmtree(folder.path)
    yield Aligned(output, None, {})


def check_output(source: Path, output: Path) -> None:
    """Refuse what could only fail late.

    Raises:
        AlignError: pycolmap is not installed, or `output` is in use.
    """
    if importlib.util.find_spec("pycolmap") is None:
        raise AlignError("alignment", "pycolmap, which solves cameras, is not installed",
                         "Install it: pip install 'milo-blender[align]'")
    if (output / "sparse").exists():
        raise AlignError(output, "there is a scene already", "Choose another folder, or remove this one")
    if source.resolve() == output.resolve():
        raise AlignError(output, "the scene's folder is the folder of the photos", "Choose another folder for it")


def undistorted(folder: WorkFolder, model: Path, photos: Mapping[str, list[str | None]], similarity: np.ndarray,
                max_points: int, should_stop: Callable[[], bool]) -> Iterator[AlignProgress]:
    """Make the scene in the work folder.

    Args:
        model: a COLMAP model.
        photos: {name in the model: [photo, mask or None]}; others are left out.
        similarity: [3, 4] new from old world.
        max_points: points to keep, 0 = all.
    """
    shutil.rmtree(folder.scene, ignore_errors=True)
    folder.write_undistortion({"model": str(model), "photos": dict(photos), "similarity": similarity.tolist(),
                               "max_points": max_points})
    yield from run_solver("undistort", folder, should_stop)


def move_scene(folder: WorkFolder, output: Path) -> None:
    """Move the finished scene to its place; sparse/ comes last and makes it a scene."""
    for name in ("images", "masks", "sparse"):
        if (folder.scene / name).is_dir():
            shutil.rmtree(output / name, ignore_errors=True)
            os.replace(folder.scene / name, output / name)
