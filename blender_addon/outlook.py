# SPDX-License-Identifier: GPL-3.0-or-later
"""What the chosen reconstruction would take: asked of the backend whenever a choice that matters has changed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from . import options
from .connection import photo_size
from .connection.backend import READY
from .connection.errand import Errand
from .connection.photo_size import Photos
from .connection.problems import Problem, Refused
from .protocol.outlook import Estimate, EstimateJob
from .scene import cameras, cloud, solved

if TYPE_CHECKING:
    from .session import Session

AGAIN_S = 1.0  # until a backend is asked again that does not know its device yet


class Outlook:
    """One per session, on Blender's main thread.

    Attributes:
        estimate: of the present choices, or None.
        photos: their number and size, or None.
        problem: why there is no estimate, where the choices are the cause; else None.
    """

    def __init__(self, session: Session):
        self.session = session
        self.estimate: Estimate | None = None
        self.photos: Photos | None = None
        self.problem: Problem | None = None
        self._shown = False
        self._photos_key: tuple = ()
        self._key: tuple = ()
        self._count: Errand | None = None
        self._asked: Future | None = None
        self._not_before = 0.0

    def show(self) -> None:
        """To be called by whoever shows it: the choices may have changed."""
        self._shown = True

    def step(self) -> bool:
        """Take a step. Returns whether more is to be expected."""
        if self._count is not None and self._count.done:
            done, self._count = self._count, None
            self.photos, self.problem = done.result, done.problem
        if self._asked is not None and self._asked.done():
            answer, self._asked = self._asked, None
            self._take(answer)
        if self._shown and self._count is None and self._asked is None and time.monotonic() >= self._not_before:
            self._shown = False
            self._look(bpy.context.scene)
        return self._count is not None or self._asked is not None or (self._shown and self._key == ())

    def _look(self, scene: bpy.types.Scene) -> None:
        key = photos_key(scene)
        if key != self._photos_key:
            self._photos_key, self._key = key, ()
            self.photos = self.estimate = self.problem = None
            if key and key[0] == "size":
                self.photos = Photos(*key[1:4])
            elif key:
                self._shown, self._count = True, Errand("photos", partial(photo_size.count, finder(key)))
        choices, backend = scene.milo, self.session.backend
        runs = sum(job.state == "finished" for job in self.session.job_list.jobs)  # each teaches the backend something
        key = (self.photos, choices.preset, choices.overrides, id(backend.client), runs)
        if self.photos is None or backend.state != READY or key == self._key:
            return
        self._key, self.problem = key, None
        try:
            settings = options.parse(choices.overrides)
        except ValueError:  # the panel says so where they are changed
            self.estimate = None
            return
        found = self.photos
        points = cloud.count(obj) if (obj := solved.points_of(scene)) and choices.source == "PHOTOS" else 0
        question = EstimateJob(found.count, found.width, found.height, points, (choices.preset,), settings)
        self._asked = backend.client.request(question)

    def _take(self, answer: Future) -> None:
        error = answer.exception()
        self.estimate = answer.result() if error is None else None
        if isinstance(error, Refused) and error.code == "not_ready":
            self._key, self._shown, self._not_before = (), True, time.monotonic() + AGAIN_S
        elif isinstance(error, Refused):
            self.problem = error
        elif error is not None:  # the connection says what is wrong with it
            self._key = ()


def photos_key(scene: bpy.types.Scene) -> tuple:
    """Which photos are chosen: () none, ("scene" or "photos", folder), ("files", path, count) of one of them, or
    ("size", count, width, height)."""
    choices = scene.milo
    if choices.source == "FOLDER":
        return ("scene", bpy.path.abspath(choices.folder)) if choices.folder else ()
    if choices.source == "PHOTOS" and choices.solved is None:
        by_folder = choices.photo_kind == "FOLDER" and choices.photo_folder
        return ("photos", bpy.path.abspath(choices.photo_folder)) if by_folder else ()
    among = choices.solved if choices.source == "PHOTOS" else None
    found = cameras.cameras_with_photo(scene, among)
    if not found:
        return ()
    width, height = found[0].milo.photo_size
    if width and height:
        return "size", len(found), width, height
    image = cameras.background_of(found[0]).image
    if image is not None and not image.packed_file:
        return "files", bpy.path.abspath(image.filepath), len(found)
    return ("size", len(found), *image.size) if image is not None and image.size[0] else ()


def finder(key: tuple) -> partial:
    """What finds the photos of a key."""
    folder = Path(key[1])
    if key[0] == "files":
        return partial(_repeated, folder, key[2])
    return partial(photo_size.of_scene if key[0] == "scene" else photo_size.of_photos, folder)


def _repeated(path: Path, count: int) -> Sequence[Path]:
    return [path] * count
