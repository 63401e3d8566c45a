# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats from the backend to a folder beside the .blend, and back to a backend that has them no more.

One per session, on Blender's main thread; the session's poll calls `step`.
"""

from __future__ import annotations

import shutil
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from .connection.download import Download
from .connection.problems import Problem
from .connection.restore import Restore
from .protocol.messages import Files
from .protocol.stored import STORED, SplatFiles
from .scene import stored_splats

if TYPE_CHECKING:
    from .session import Session

PREPARE_S = 600.0  # an SPZ is made for it


class StoreWork:
    """What is under way.

    Attributes:
        problem: why the last one failed, or None.
        saved, restored: how many times each was done, for scripts.
    """

    def __init__(self, session: Session):
        self.session = session
        self.download: Download | None = None
        self.restore: Restore | None = None
        self.problem: Problem | None = None
        self.saved = self.restored = 0
        self._asked: Future | None = None
        self._scene_name = self._job = ""
        self._folder = Path()

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self._asked is not None or self.download is not None or self.restore is not None

    @property
    def progress(self) -> tuple[str, float] | None:
        """(what it does, share of it done), None while nothing is under way."""
        if self.restore:
            return "Sending splats", self.restore.fraction
        if self.download:
            return "Fetching splats", self.download.fetched / max(1, self.download.total)
        return ("Packing splats", 0.0) if self._asked is not None else None

    def save(self, scene: bpy.types.Scene, kind: str, folder: Path) -> None:
        """Fetch the splats of a scene's reconstruction as "spz" or "ply"."""
        self.problem = None
        self._scene_name, self._job, self._folder = scene.name, scene.milo.job, folder
        self._asked = self.session.backend.client.request(SplatFiles(self._job, kind), PREPARE_S)

    def give_back(self, scene: bpy.types.Scene, name: str) -> None:
        """Send stored splats to the backend, which is started where needed. Raises Problem, StoredError."""
        self.problem, self._scene_name, self._job = None, scene.name, scene.milo.job
        files = stored_splats.sources(stored_splats.entry(scene, self._job))

        def begin() -> None:
            self.restore = Restore(self.session.backend.client, self._job, name, files)

        self.session.when_ready(begin)

    def forget(self) -> None:
        """For another .blend: end what is under way."""
        for thread in (self.download, self.restore):
            if thread:
                thread.cancel()
        self.download, self.restore, self.problem, self._asked = None, None, None, None

    def close(self) -> None:
        for thread in (self.download, self.restore):
            if thread:
                thread.cancel()
                thread.join(5.0)

    def step(self) -> bool:
        """Take a step. Returns whether more is to be expected."""
        if self._asked is not None and self._asked.done():
            answer, self._asked = self._asked, None
            error = answer.exception()
            if error is None:
                self._fetch(answer.result())
            elif isinstance(error, Problem):
                self.problem = error
            else:
                raise error
        if self.download and self.download.done:
            done, self.download = self.download, None
            self.problem = done.problem
            if done.complete:
                try:
                    self._arrived()
                except OSError as error:
                    self.problem = Problem(
                        f"The splats cannot be put into {self._folder}: {error.strerror}.",
                        "They wait beside it. Make room, or let the folder be written to, and save them again.",
                    )
        if self.restore and self.restore.done:
            done, self.restore = self.restore, None
            self.problem = done.problem
            if done.info:
                self.restored += 1
                self._follow()
        return self.busy

    @property
    def _partial(self) -> Path:
        """Where files are until all of them are there: those of an earlier time stay until then."""
        return self._folder.with_name(f".{self._folder.name}.part")

    def _fetch(self, files: Files) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)
        names = {file.path: Path(file.path).name for file in files.files}
        wanted = {path: self._partial / name for path, name in names.items() if name in STORED}
        self.download = Download(self.session.backend.client, self._job, wanted)

    def _arrived(self) -> None:
        self._folder.mkdir(exist_ok=True)
        for name in STORED:
            (self._folder / name).unlink(missing_ok=True)
        for path in self._partial.iterdir():
            path.replace(self._folder / path.name)
        self._partial.rmdir()
        scene = bpy.data.scenes.get(self._scene_name)
        if scene is not None:
            stored_splats.refer(stored_splats.entry(scene, self._job), self._folder)
            self.saved += 1

    def _follow(self) -> None:
        scene = bpy.data.scenes.get(self._scene_name)
        if scene is not None and scene.milo.job == self._job:
            self.session.show(scene, self._job)
