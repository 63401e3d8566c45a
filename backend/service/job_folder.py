# SPDX-License-Identifier: Apache-2.0
"""The folder of a job: what was asked, and where everything goes.

jobs/<id>/request.json   {"format": 1, "name", "scene", "preset", "settings"}: the body of job.start
          points.npy     [P, 3] float32, where cameras came with points; colors.npy [P, 3] uint8 of them
          scene/         the scene as `milo.backend.data.load_scene` reads it, linked from the blobs
          run/           the run directory of the reconstruction
          snapshots/     the newest meshes (snapshots.py)
          preview.png    the newest picture
          kept.json      {"format": 1, "hashes"}: an alignment's photos, which are blobs too: nobody need send them back
          worker.log     what the worker said on stderr
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from milo.protocol import ProtocolError
from milo.protocol.messages import MESSAGES, SceneCameras, SceneFiles, SceneOfJob, StartJob

from .blobs import Blobs
from .files import link, write_json

FORMAT = 1
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"II*\x00": ".tif", b"MM\x00*": ".tif", b"RIFF": ".webp"}


def write_request(folder: Path, request: StartJob) -> None:
    """Make the folder of a new job; request.json comes last and makes it whole."""
    folder.mkdir(parents=True)
    if request.points is not None:
        np.save(folder / "points.npy", request.points, allow_pickle=False)
    if request.colors is not None:
        np.save(folder / "colors.npy", request.colors, allow_pickle=False)
    write_json(folder / "request.json", {"format": FORMAT, **MESSAGES["job.start"].write(request, "job.start")})


def read_request(folder: Path) -> StartJob:
    """The request of a job, without its points.

    Raises ProtocolError if the file is not one of ours.
    """
    try:
        body = json.loads((folder / "request.json").read_text("utf-8"))
        written_by = body.pop("format")
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise ProtocolError("internal", f"{folder / 'request.json'} cannot be read ({error}).") from None
    if written_by != FORMAT:
        raise ProtocolError("not_ready", f"{folder / 'request.json'} has format {written_by}; this version of MILo "
                                         f"reads {FORMAT}.", "Update MILo, or start the job again.")
    return MESSAGES["job.start"].read(body, "job.start")


def hashes_of(request: StartJob) -> dict[str, int | None]:
    """The blobs that a request needs, with their sizes where they are known."""
    if isinstance(request.scene, SceneFiles):
        return {file.hash: file.size for file in request.scene.files}
    if isinstance(request.scene, SceneOfJob):
        return {}
    hashes = [file for camera in request.scene.cameras for file in (camera.hash, camera.mask) if file]
    return dict.fromkeys(hashes)


def keep_photos(folder: Path, blobs: Blobs) -> None:
    """Make the undistorted photos and masks of an alignment blobs: they are what a reconstruction asks for next."""
    files = [path for kind in ("images", "masks") for path in sorted((folder / "run" / kind).rglob("*"))
             if path.is_file()]
    write_json(folder / "kept.json", {"format": FORMAT, "hashes": [blobs.adopt(path) for path in files]})


def kept_hashes(folder: Path) -> set[str]:
    """The blobs that `keep_photos` made of a job's results."""
    try:
        return set(json.loads((folder / "kept.json").read_text("utf-8"))["hashes"])
    except FileNotFoundError:
        return set()


def build_scene(folder: Path, blob: Callable[[str], Path]) -> Path:
    """Lay out scene/ from the blobs by hard links, or copies where links cannot be; it appears when it is complete.
    That of a job about another one is the other's."""
    request, scene = read_request(folder), folder / "scene"
    if isinstance(request.scene, SceneOfJob):
        return folder.parent / request.scene.job / "scene"
    if scene.is_dir():
        return scene
    building = folder / ".scene"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    if isinstance(request.scene, SceneFiles):
        for file in request.scene.files:
            link(blob(file.hash), building / file.path)
    else:
        _build_cameras(building, request.scene, folder, blob)
    os.replace(building, scene)
    return scene


def _build_cameras(building: Path, scene: SceneCameras, folder: Path, blob: Callable[[str], Path]) -> None:
    cameras = []
    for i, camera in enumerate(scene.cameras):
        source = blob(camera.hash)
        image = f"images/{i:05d}{_suffix(source)}"     # names of Blender objects are no file names
        link(source, building / image)
        if camera.mask:
            link(blob(camera.mask), building / f"masks/{i:05d}.png")
        cameras.append({"name": camera.name, "image": image, "width": camera.width, "height": camera.height,
                        "K": camera.K, "viewmat": camera.viewmat})
    arrays = {}
    for name in ("points", "colors"):
        there = (folder / f"{name}.npy").exists()
        arrays[name] = f"{name}.npy" if there else None
        if there:
            link(folder / f"{name}.npy", building / f"{name}.npy")
    write_json(building / "cameras.json", {"format": 1, "cameras": cameras, **arrays})


def _suffix(image: Path) -> str:
    with open(image, "rb") as file:
        start = file.read(4)
    return next((suffix for magic, suffix in _SUFFIXES.items() if start.startswith(magic)), ".png")
