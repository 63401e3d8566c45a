# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes before a reconstruction: the report on photos, and their alignment.

One per session, on Blender's main thread; the session's poll calls `step`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from . import preferences
from .connection.backend import READY
from .connection.download import Download
from .connection.job_start import JobStart, Reconstruction
from .connection.problems import Problem
from .connection.watch import ENDED, Watch
from .protocol.messages import CancelJob, JobInfo, Nothing
from .protocol.photos import Alignment, GetAlignment, GetPhotoReport, PhotoReport
from .scene import report_list, solved

if TYPE_CHECKING:
    from .session import Session

BEFORE_REPORT = ("", "starting", "loading", "frames", "photos")  # stages in which there is no report yet


class PhotoWork:
    """A report or an alignment under way, and the last one's results.

    Attributes:
        report: the newest report on photos, or None.
        problem: why the last one failed, or None.
    """

    def __init__(self, session: Session):
        self.session = session
        self.starting: JobStart | None = None
        self.watch: Watch | None = None
        self.download: Download | None = None
        self.report: PhotoReport | None = None
        self.problem: Problem | None = None
        self._alignment: Alignment | None = None
        self._asked: dict[str, Future] = {}
        self._begin: Callable[[], None] | None = None  # what the session does once the backend is ready
        self._scene_name = ""
        self._folder: Path | None = None  # of the photos on this computer

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
        info = self.info
        going = info is None or info.state not in (*ENDED, "paused", "interrupted")
        running = self.watch is not None and not self.watch.gone and going
        unread = any(map(self.session.is_waiting_for, self._asked.values()))
        return bool(self.waits_for_backend or self.starting or self.download or unread or running)

    @property
    def progress(self) -> tuple[str, float] | None:
        """(what it does, share of it done), None while nothing is under way."""
        if self.starting:
            return self.starting.stage, self.starting.fraction
        if self.download:
            return "Fetching photos", self.download.fraction
        if not self.busy or self.info is None:
            return ("starting", 0.0) if self.busy else None
        return self.info.stage, self.info.iteration / self.info.iterations if self.info.iterations else 0.0

    # -- what operators do ---------------------------------------------------------------------------------------------

    def start(self, scene: bpy.types.Scene, wanted: Reconstruction) -> None:
        """Report on photos or align them, starting the backend first where needed. Raises Problem."""
        self.forget()
        self._scene_name = scene.name
        self._folder = wanted.folder if wanted.folder.is_dir() else None

        def begin() -> None:
            self._begin = None
            self.starting = JobStart(self.session.backend.client, wanted)

        self._begin = begin
        self.session.when_ready(begin)

    def forget(self) -> None:
        """Turn away from what was under way, for other photos or another .blend; a job goes on at the backend."""
        for thread in (self.starting, self.download):
            if thread:
                thread.cancel()
        self.starting, self.watch, self.download = None, None, None
        self.problem, self._alignment, self._begin = None, None, None
        self._asked.clear()

    def follow(self, scene: bpy.types.Scene) -> None:
        """Take up again the job of a scene whose .blend was opened."""
        self._scene_name = scene.name
        by_folder = scene.milo.photo_kind == "FOLDER" and scene.milo.photo_folder
        self._folder = Path(bpy.path.abspath(scene.milo.photo_folder)) if by_folder else None
        self._watch(scene.milo.photo_job)

    def cancel(self) -> None:
        """End what is under way; what came before stays."""
        if self.waits_for_backend:
            self.session.wants_no_more()
        elif self.starting:
            self.starting.cancel()
        elif self.download:
            self.download.cancel()
        elif self.watch:
            self.session.ask(CancelJob(self.watch.job), self.watch.tell)

    def close(self) -> None:
        for thread in (self.starting, self.download):
            if thread:
                thread.cancel()
                thread.join(5.0)

    # -- the poll ------------------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Take a step. Returns whether more is to be expected."""
        if self.starting and self.starting.done:
            done, self.starting = self.starting, None
            self.problem = done.problem
            scene = bpy.data.scenes.get(self._scene_name)
            if done.result and scene is not None:
                scene.milo.photo_job, scene.milo.backend_home = done.result.job, str(self.session.backend.home)
                self._watch(done.result.job)
        if self.watch:
            if self.session.backend.state == READY and self.watch.client is not self.session.backend.client:
                self._watch(self.watch.job)
            self.watch.keep_going()
            if self.info is not None:
                self._ask_for_results(self.info)
        if self.download and self.download.done:
            self._arrived()
        return self.busy

    def _watch(self, job: str) -> None:
        self.watch = Watch(self.session.backend.client, job, live=False, max_triangles=0)
        self.watch.frozen = True  # there are no meshes

    def _ask_for_results(self, info: JobInfo) -> None:
        ended = info.state in ENDED
        if ended or info.stage not in BEFORE_REPORT:
            self._ask_once("report at the end" if ended else "report", GetPhotoReport(info.job), self._got_report)
        if info.state == "finished" and info.task == "align":
            self._ask_once("alignment", GetAlignment(info.job), self._got_alignment)
        if info.state == "failed" and info.error:
            self.problem = Problem(info.error, info.hint)

    def _ask_once(self, key: str, question, then) -> None:
        if key in self._asked:
            return
        self._asked[key] = self.session.ask(question, then)

    def _got_report(self, report: PhotoReport | Nothing) -> None:
        if isinstance(report, PhotoReport):
            self.report = report
            report_list.fill(report, self._folder)

    def _got_alignment(self, alignment: Alignment | Nothing) -> None:
        if isinstance(alignment, Alignment):
            self._alignment = alignment
            folder = preferences.local_home() / "aligned" / alignment.job
            self.download = Download(self.session.backend.client, alignment.job, wanted_files(alignment, folder))

    def _arrived(self) -> None:
        download, self.download = self.download, None
        self.problem = download.problem
        scene = bpy.data.scenes.get(self._scene_name)
        if download.complete and scene is not None:
            scene.milo.photo_job = ""
            folder = preferences.local_home() / "aligned" / self._alignment.job
            solved.build(scene, self.info.name, self._alignment, folder)


def wanted_files(alignment: Alignment, folder: Path) -> dict[str, Path]:
    """{path at the backend: file here} of the photos and masks of solved cameras."""
    paths = [path for camera in alignment.cameras for path in (camera.image, camera.mask) if path]
    return {path: folder / Path(path).relative_to("run") for path in paths}
