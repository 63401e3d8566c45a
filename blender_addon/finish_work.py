# SPDX-License-Identifier: GPL-3.0-or-later
"""The finishing of a reconstruction: asked for, followed, fetched, and made into objects.

One per session, on Blender's main thread; the session's poll calls `step`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from . import preferences
from .connection.backend import READY
from .connection.download import Download
from .connection.problems import Problem
from .connection.watch import ENDED, Watch
from .protocol.messages import CancelJob, DeleteJob, Files, JobInfo, ListFiles, SceneOfJob, StartJob
from .scene import asset, carry, mesh_object

if TYPE_CHECKING:
    from .session import Session

WANTED = (".npz", ".png", "finish.json")


class FinishWork:
    """A finishing under way, and the last one's figures.

    Attributes:
        problem: why the last one failed, or None.
        waiting: why the result is not shown yet, or "".
        report: figures of the last one (finish.json), or None.
    """

    def __init__(self, session: Session):
        self.session = session
        self.watch: Watch | None = None
        self.download: Download | None = None
        self.problem: Problem | None = None
        self.waiting = ""
        self.report: dict | None = None
        self._begin: Callable[[], None] | None = None  # what the session does once the backend is ready
        self._asked: Future | None = None
        self._scene_name = self._source = ""
        self._folder: Path | None = None  # where the files are fetched to
        self._levels: list[asset.Level] = []  # still to be shown
        self._transfer: carry.Transfer | None = None

    # -- what the panel reads ------------------------------------------------------------------------------------------

    @property
    def info(self) -> JobInfo | None:
        return self.watch.info if self.watch else None

    @property
    def waits_for_backend(self) -> bool:
        """Whether the backend is being started for this."""
        return self._begin is not None and self.session.wants(self._begin)

    @property
    def busy(self) -> bool:
        """Whether something is under way: nothing else can be started, and Cancel makes sense."""
        asked = self._asked is not None and self.session.is_waiting_for(self._asked)
        info = self.info
        going = info is None or info.state not in (*ENDED, "paused", "interrupted")
        there = self.watch is not None and self.session.backend.state == READY and not self.watch.gone
        running = there and going
        return bool(self.waits_for_backend or asked or running or self.download or self._levels)

    @property
    def progress(self) -> tuple[str, float] | None:
        """(what it does, share of it done), None while nothing is under way."""
        if not self.busy:
            return None
        if self.download:
            return "Fetching the asset", self.download.fraction
        info = self.info
        if info is None or info.state == "queued":
            return "Waiting", 0.0
        return info.stage, info.iteration / info.iterations if info.iterations else 0.0

    @property
    def notice(self) -> str:
        """What the user should know about the last one, or ""."""
        wished = self.report and self.report["options"]["source"]
        if wished and self.report.get("source", wished) != wished:   # an older backend does not say
            return "The backend does not have the photos: the texture was made from the splats"
        return ""

    # -- what operators do ---------------------------------------------------------------------------------------------

    def start(self, scene: bpy.types.Scene) -> None:
        """Finish a scene's reconstruction, starting the backend first where needed. Raises Problem."""
        self.forget()
        self._scene_name, self._source = scene.name, scene.milo.job
        scan = mesh_object.find(self._source)
        name = scan.name if scan else scene.name
        question = StartJob(name, SceneOfJob(self._source), (), scene.milo_finish.settings(), "finish")
        earlier = scene.milo_finish.job

        def begin() -> None:
            self._begin = None
            if earlier:  # interrupted: it is done again
                self.session.backend.client.request(DeleteJob(earlier))
            self._asked = self.session.ask(question, self._started)

        self._begin = begin
        home = Path(scene.milo.backend_home) if scene.milo.backend_home else None
        self.session.when_ready(begin, home)

    def follow(self, scene: bpy.types.Scene) -> None:
        """Take up again the finishing of a scene whose .blend was opened."""
        self._scene_name, self._source = scene.name, scene.milo.job
        self._watch(scene.milo_finish.job)

    def forget(self) -> None:
        """Turn away from what was under way, for another one or another .blend."""
        if self.download:
            self.download.cancel()
        self.watch, self.download, self.problem, self.report = None, None, None, None
        self.waiting, self._begin, self._asked, self._levels, self._transfer = "", None, None, [], None

    def cancel(self) -> None:
        """End what is under way; an earlier asset stays."""
        if self.waits_for_backend:
            self.session.wants_no_more()
        elif self.download or self._levels:
            self._end()
        elif self.watch:
            self.session.ask(CancelJob(self.watch.job), self.watch.tell)
        else:
            self._asked = None

    def close(self) -> None:
        if self.download:
            self.download.cancel()
            self.download.join(5.0)

    # -- the poll ------------------------------------------------------------------------------------------------------

    def step(self, end: float) -> bool:
        """Take a step; what can be done in slices is done until `end` by time.perf_counter(). Returns whether more is
        to be expected."""
        if self.watch:
            if self.session.backend.state == READY and self.watch.client is not self.session.backend.client:
                self._watch(self.watch.job)
            self.watch.keep_going()
            info = self.info
            if info is not None and info.state in ENDED and self._asked is None and not self.download:
                self._ended(info)
        if self.download and self.download.done:
            self._arrived()
        if self._levels:
            self._show(end)
        return self.busy

    def _started(self, info: JobInfo) -> None:
        if self._asked is None:  # cancelled meanwhile
            self.session.backend.client.request(DeleteJob(info.job))
            return
        self._asked = None
        scene = bpy.data.scenes.get(self._scene_name)
        if scene is not None:
            scene.milo_finish.job = info.job
        self._watch(info.job)
        self.watch.tell(info)

    def _watch(self, job: str) -> None:
        self.watch = Watch(self.session.backend.client, job, live=False, max_triangles=0)
        self.watch.frozen = True  # there are no meshes

    def _ended(self, info: JobInfo) -> None:
        if info.state == "finished":
            self._asked = self.session.ask(ListFiles(info.job), lambda files: self._fetch(info.job, files))
            return
        if info.state == "failed":
            self.problem = Problem(info.error, info.hint)
        self._end()

    def _fetch(self, job: str, files: Files) -> None:
        if self._asked is None:  # turned away meanwhile
            return
        self._asked = self.watch = None
        self._folder = preferences.local_home() / "finished" / job
        paths = [file.path for file in files.files if file.path.endswith(WANTED) and file.path.count("/") == 1]
        wanted = {path: self._folder / Path(path).name for path in paths}
        self.download = Download(self.session.backend.client, job, wanted, partial(read_asset, self._folder))

    def _arrived(self) -> None:
        download, self.download = self.download, None
        self.problem = download.problem
        if download.complete:
            self.report, self._levels = download.result
        if not self._levels:
            self._end()

    def _show(self, end: float) -> None:
        """Take a step towards the object of the next level."""
        scene, level = bpy.data.scenes.get(self._scene_name), self._levels[0]
        if scene is None:
            self._end()
            return
        obj, kept = asset.find(self._source, level.number), None
        if obj is not None:
            self.waiting = mesh_object.why_wait(obj)
            if self._transfer and (self.waiting or not self._transfer.fits(obj)):
                self._transfer = None
            if self.waiting:
                return
            if self._transfer is None and carry.has_to_be_carried(obj):
                self._transfer = carry.Transfer(asset.before(obj, level), obj)
            if self._transfer is None:
                kept = carry.take(obj), carry.Carried({})
            elif self._transfer.step(obj, end):
                kept = self._transfer.old, self._transfer.carried
                if kept[1] is None:
                    self._end()
                    raise RuntimeError("Vertex groups could not be carried over; the console has the details.")
            else:
                return
        self._transfer = None
        asset.build(scene, self._source, scene.name, level, kept)
        self._levels.pop(0)
        if not self._levels:
            asset.remove_from(self._source, level.number + 1)
            asset.show_only_finest(scene, self._source)
            self._end()
            scene.milo_finish.job = ""  # also if no backend could be told: else it would all come again some day

    def _end(self) -> None:
        """Nothing is under way any more; the backend, if it is still there, need not keep what is here."""
        scene = bpy.data.scenes.get(self._scene_name)
        if self.download:
            self.download.cancel()
        self.watch, self.download, self._levels, self._transfer, self.waiting = None, None, [], None, ""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if scene is not None and scene.milo_finish.job and self.session.backend.state == READY:
            self.session.backend.client.request(DeleteJob(scene.milo_finish.job))
            scene.milo_finish.job = ""


def read_asset(folder: Path) -> tuple[dict, list[asset.Level]]:
    """What lies in a folder: the figures, and each level. Raises Problem, ProtocolError: it cannot be read."""
    try:
        report = json.loads((folder / "finish.json").read_text("utf-8"))
        names = [level["name"] for level in report["levels"]]
        return report, [asset.Level.read(folder, name, number) for number, name in enumerate(names)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Problem(f"The finished asset cannot be read: {error}.", "Finish it again.") from error
