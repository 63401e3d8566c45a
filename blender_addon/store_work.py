# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats from the backend to a folder beside the .blend, into the .blend, and back to a backend that has them no more.

One per session, on Blender's main thread; the session's poll calls `step`. Files are read and written on other threads.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from . import splat_files
from .connection.download import Download
from .connection.errand import Errand
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
        self.problem: Problem | None = None
        self.saved = self.restored = 0
        self._begin: Callable[[], None] | None = None  # what the session does once the backend is ready
        self._asked: Future | None = None
        self._errand: Errand | None = None
        self._said = ""  # what the errand is
        self._then: Callable[[Any], None] | None = None  # what to do with its result
        self._scene_name = self._job = ""
        self._folder = Path()

    @property
    def waits_for_backend(self) -> bool:
        """Whether the backend is being started for this."""
        return self._begin is not None and self.session.wants(self._begin)

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self.waits_for_backend or self._asked is not None or self._errand is not None

    @property
    def progress(self) -> tuple[str, float] | None:
        """(what it does, share of it done), None while nothing is under way."""
        if self._errand:
            return self._said, self._errand.fraction
        if self.waits_for_backend:
            return "Waiting", 0.0
        return ("Preparing splats", 0.0) if self._asked is not None else None

    # -- what operators do ---------------------------------------------------------------------------------------------

    def save(self, scene: bpy.types.Scene, kind: str, folder: Path) -> None:
        """Fetch the splats of a scene's reconstruction as "spz" or "ply"."""
        self._about(scene)
        self._folder = folder
        self._asked = self.session.backend.client.request(SplatFiles(self._job, kind), PREPARE_S)

    def pack(self, scene: bpy.types.Scene, title: str) -> None:
        """Put the saved splats into the .blend."""
        self._about(scene)
        folder = stored_splats.folder_of(self._entry)

        def packed(data: bytes) -> None:
            stored_splats.put_in(self._entry, title, data)
            note_change("Pack Splats")
        self._go("Packing splats", Errand("packing", partial(splat_files.pack, folder)), packed)

    def unpack(self, scene: bpy.types.Scene, folder: Path) -> None:
        """Write the packed splats into a folder, and take them out of the .blend."""
        self._about(scene)
        packed = bytes(self._entry.packed[stored_splats.ZIP])

        def unpacked(_none: None) -> None:
            stored_splats.take_out(self._entry, folder)
            note_change("Unpack Splats")
        self._go("Unpacking splats", Errand("unpacking", partial(splat_files.unpack, packed, folder)), unpacked)

    def give_back(self, scene: bpy.types.Scene, name: str) -> None:
        """Send stored splats to the backend, which is started where needed. Raises Problem."""
        self._about(scene)
        read = partial(splat_files.files_of, stored_splats.held(self._entry))

        def begin() -> None:
            restore = Restore(self.session.backend.client, self._job, name, read)
            self._go("Sending splats", restore, lambda _info: self._follow())

        self._begin = begin
        self.session.when_ready(begin)

    def forget(self) -> None:
        """For another .blend: end what is under way."""
        if self._errand:
            self._errand.cancel()
        self._errand, self._then, self.problem, self._asked = None, None, None, None

    def close(self) -> None:
        if self._errand:
            self._errand.cancel()
            self._errand.join(5.0)

    # -- the poll ------------------------------------------------------------------------------------------------------

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
        if self._errand and self._errand.done:
            done, self._errand = self._errand, None
            self.problem = done.problem
            if done.complete and self._scene is not None:
                self._then(done.result)
        return self.busy

    @property
    def _scene(self) -> bpy.types.Scene | None:
        return bpy.data.scenes.get(self._scene_name)

    @property
    def _entry(self) -> bpy.types.PropertyGroup:
        return stored_splats.entry(self._scene, self._job)

    def _about(self, scene: bpy.types.Scene) -> None:
        self.problem, self._scene_name, self._job = None, scene.name, scene.milo.job

    def _go(self, said: str, errand: Errand, then: Callable[[Any], None]) -> None:
        self._said, self._errand, self._then = said, errand, then

    def _fetch(self, files: Files) -> None:
        part = splat_files.part_of(self._folder)
        shutil.rmtree(part, ignore_errors=True)
        names = {file.path: Path(file.path).name for file in files.files}
        wanted = {path: part / name for path, name in names.items() if name in STORED}
        place = partial(splat_files.put_in_place, self._folder)
        self._go("Fetching splats", Download(self.session.backend.client, self._job, wanted, place), self._fetched)

    def _fetched(self, _none: None) -> None:
        stored_splats.refer(self._entry, self._folder)
        self.saved += 1
        note_change("Save Splats")

    def _follow(self) -> None:
        self.restored += 1
        if self._scene.milo.job == self._job:
            self.session.show(self._scene, self._job)


def note_change(what: str) -> None:
    """The .blend is other than its file: Blender asks before it is closed. Nothing is pushed into a tool at work."""
    if not any(len(window.modal_operators) for window in bpy.context.window_manager.windows):
        bpy.ops.ed.undo_push(message=what)
