# SPDX-License-Identifier: GPL-3.0-or-later
"""Single frames taken of a moving camera: a still camera for each, with its frame as background image."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import bpy
import numpy as np

from . import solved
from .frame_writer import FrameWriter, sharpness
from .shots import Shot, pose_at

CANDIDATES = 3  # pictures that are compared to find a sharp one


def windows(frames: tuple[int, ...], choice: str, count: int, step: int) -> list[list[int]]:
    """Of which frames one each is to be taken: `count` stretches (SHARPEST), or every `step`-th frame alone (EVERY)."""
    if choice == "EVERY":
        return [[frame] for frame in frames[::step]]
    parts = np.array_split(np.array(frames), min(count, len(frames)))
    spread = (part[np.unique(np.linspace(0, len(part) - 1, CANDIDATES).round().astype(int))] for part in parts)
    return [part.tolist() for part in spread]


def take(scene: bpy.types.Scene, shot: Shot, folder: Path) -> Iterator[tuple[int, int]]:
    """Take frames of a shot as the scene's settings say, and put a still camera for each into a collection.

    Yields (pictures looked at, of how many) after each, so that somebody may draw progress or stop: then nothing has
    changed. The collection replaces the one of an earlier time.
    """
    wanted = scene.milo.frames
    chosen = windows(shot.frames, wanted.choice, wanted.count, wanted.step)
    total, done = sum(map(len, chosen)), 0
    pictures: dict[int, Path] = {}
    with ExitStack() as stack:
        given_up = stack.enter_context(ExitStack())
        given_up.callback(shutil.rmtree, folder, ignore_errors=True)
        writer = None
        for window in chosen:
            found: dict[int, Path] = {}
            for frame in window:
                path = shot.file(frame)
                if path is None:
                    folder.mkdir(parents=True, exist_ok=True)
                    writer = writer or stack.enter_context(FrameWriter(shot, folder))
                    path = writer.write(frame)
                found[frame] = path
                done += 1
                yield done, total
            best = max(found, key=lambda frame: sharpness(found[frame])) if len(found) > 1 else window[0]
            pictures[best] = found.pop(best)
            for path in found.values():
                if path.parent == folder:
                    path.unlink()
        size, crop = (writer.size, writer.crop) if writer else (shot.size, (0, 0))
        given_up.pop_all()
    add_cameras(scene, shot, pictures, size, crop)


def add_cameras(
    scene: bpy.types.Scene, shot: Shot, pictures: dict[int, Path], size: tuple[int, int], crop: tuple[int, int]
) -> None:
    """A collection of still cameras for pictures {frame: file}; the scene stays at its frame."""
    now = scene.frame_current
    camera = shot.camera
    solved.remove_collection(camera.milo.taken, scene)
    collection = bpy.data.collections.new(f"{camera.name} frames")
    scene.collection.children.link(collection)
    for frame, path in pictures.items():
        viewmat, K = pose_at(shot, scene, frame)
        K[:2, 2] -= crop
        collection.objects.link(solved.camera_object(scene, f"{camera.name} {frame:04d}", viewmat, K, size, path))
    scene.frame_set(now)
    camera.milo.taken = collection
