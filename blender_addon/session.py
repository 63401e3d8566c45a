# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on right now: the backend, the job on its way or under way, and the newest mesh.

Lives on Blender's main thread. `poll` does all the work in small steps; a timer calls it while there is a window, and
scripts call it in background, where timers never fire:

    from bl_ext.user_default.milo import session
    bpy.ops.milo.reconstruct()
    session.current().wait(lambda s: s.job_state == "finished", timeout_s=600)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import bpy

from . import preferences
from .connection.backend import READY, STARTING, STOPPED, Backend
from .connection.job_start import JobStart, Reconstruction
from .connection.problems import NoBackend, Problem
from .connection.watch import Watch
from .finish_work import FinishWork
from .job_list import JobList
from .outlook import Outlook
from .pair_work import PairWork
from .photo_work import PhotoWork
from .preview import PreviewWork
from .protocol.messages import CancelJob, GetJob, JobInfo, PauseJob, ResumeJob
from .refresh import Refresh
from .scene import mesh_object
from .store_work import StoreWork
from .version import product_version

BUDGET_S = 0.008  # of one poll, replies beyond it wait for the next
RESUMABLE = ("paused", "interrupted", "failed", "cancelled")
ACTIVE = ("queued", "running")


class Session:
    """One per Blender. All attributes are for the main thread."""

    def __init__(self) -> None:
        self.backend = Backend(product_version(), lambda: bpy.app.online_access)
        self.starting: JobStart | None = None
        self.watch: Watch | None = None
        self.problem: Problem | None = None  # of the last thing the user asked for
        self.photos = PhotoWork(self)
        self.finishing = FinishWork(self)
        self.storing = StoreWork(self)
        self.job_list = JobList(self)
        self.pairing = PairWork(self)
        self.outlook = Outlook(self)
        self.preview = PreviewWork(self)
        self.others: list[Watch] = []  # of earlier jobs that are not finished, while a newer one is followed
        self.refresh = Refresh()
        self._scene_name = ""
        self._wanted: Callable[[], None] | None = None  # what to do once the backend is ready
        self._replies: list[tuple[Future, Callable[[Any], None], str]] = []

    # -- what the panel and scripts read -----------------------------------------------------------------------------

    @property
    def job(self) -> str:
        return self.watch.job if self.watch else ""

    @property
    def job_info(self) -> JobInfo | None:
        return self.watch.info if self.watch else None

    @property
    def job_state(self) -> str:
        """The job's state as last heard of; "starting" while photos are sent; "" without a job."""
        other = any(work.waits_for_backend for work in (self.photos, self.finishing, self.storing))
        if self.starting or (self._wanted and self.backend.state == STARTING and not other):
            return "starting"
        info = self.job_info
        if info and info.state in ACTIVE and not (self.backend.state == READY and self.reaches_job):
            return "interrupted"
        return info.state if info else ""

    @property
    def waiting(self) -> str:
        """Why the newest mesh is not shown yet, or ""."""
        return self.refresh.waiting

    @property
    def refreshes(self) -> int:
        """Meshes shown since this session began."""
        return self.refresh.count

    @property
    def trouble(self) -> Problem | None:
        """The problem to show, the most pressing first."""
        if self.backend.problem and self.watch and self.job_state == "interrupted":
            return Problem(
                f"{self.backend.problem.message} The mesh so far is kept.",
                "Press Resume to go on from the last checkpoint.",
            )
        known = self.backend.problem or self.problem or self.photos.problem or (self.watch and self.watch.problem)
        if known:
            return known
        info = self.job_info
        return Problem(info.error, info.hint) if info and info.error else None

    @property
    def reaches_job(self) -> bool:
        """Whether the backend in use is the one with the job that is followed."""
        return self.watch.client is self.backend.client

    def with_another_backend(self, scene: bpy.types.Scene) -> bool:
        """Whether a scene's job is not with the backend that is in use now."""
        home = scene.milo.backend_home
        return bool(home) and self.backend.state != STOPPED and Path(home) != self.backend.home

    def has_all_of(self, scene: bpy.types.Scene) -> bool:
        """Whether a scene's job is finished and its mesh is in the .blend: nothing to resume, even after reopening."""
        obj = mesh_object.find(scene.milo.job)
        return self.job_state == "finished" or (obj is not None and obj.milo.kind == "final")

    # -- what operators do ---------------------------------------------------------------------------------------------

    def start_backend(self, home: Path | None = None) -> None:
        """Find or start the local backend. Raises Problem."""
        self.problem = None
        home = home or preferences.home()
        self.backend.start(preferences.program(home), home, preferences.get().outlives)

    def stop_backend(self) -> None:
        self._wanted = None
        if self.starting:
            self.starting.cancel()
        self.backend.stop()

    def reconstruct(self, scene: bpy.types.Scene, wanted: Reconstruction) -> None:
        """Start a new job for a scene, starting the backend first where needed. Raises Problem.

        The scene keeps its earlier job until the new one has really started.
        """
        self._scene_name = scene.name
        self.when_ready(lambda: self._begin(wanted))

    def pause(self) -> None:
        self.ask(PauseJob(self.job), self.told)

    def cancel(self) -> None:
        self._wanted = None
        if self.starting:
            self.starting.cancel()
        elif self.watch:
            self.ask(CancelJob(self.job), self.told)

    def resume(self, scene: bpy.types.Scene) -> None:
        """Go on with a scene's job from its last checkpoint, with a new backend where needed. Raises Problem."""
        job = scene.milo.job
        home = Path(scene.milo.backend_home) if scene.milo.backend_home else None
        self._scene_name = scene.name

        def go_on(info: JobInfo) -> None:
            if info.state in RESUMABLE:
                self.ask(ResumeJob(job), lambda resumed: self.follow(job, resumed))
            else:  # it went on, or even ended, without this Blender
                self.follow(job, info)

        self.when_ready(lambda: self.ask(GetJob(job), go_on), home)

    def follow(self, job: str, info: JobInfo | None = None) -> None:
        """Show a job's progress and meshes from now on."""
        scene = self._scene_of(job)
        live, max_triangles = (scene.milo.live_mesh, scene.milo.max_triangles) if scene else (True, 200_000)
        if self.watch and self.watch.job != job and not self.watch.complete:
            self.others.append(self.watch)
        self.others = [other for other in self.others if other.job != job]
        self.watch = Watch(self.backend.client, job, live=live, max_triangles=max_triangles)
        self.watch.info = info
        self.refresh.start_anew()

    def show(self, scene: bpy.types.Scene, job: str) -> None:
        """Turn a scene to another job of the backend."""
        self._scene_name, scene.milo.job = scene.name, job
        scene.milo.backend_home = str(self.backend.home)
        self.follow(job)

    def forget(self, job: str) -> None:
        """Follow a job no longer: it was deleted."""
        self.others = [other for other in self.others if other.job != job]
        if self.job == job:
            self.watch = None
        for scene in bpy.data.scenes:
            if scene.milo.job == job:
                scene.milo.job = ""

    def attach(self, scene: bpy.types.Scene) -> None:
        """After a .blend was opened: follow its job again if its backend is there."""
        self.watch, self.problem, self._wanted, self.others = None, None, None, []
        self.refresh.start_anew()
        for work in (self.photos, self.finishing, self.storing):
            work.forget()
        self.photos.report = None
        job, photo_job = scene.milo.job, scene.milo.photo_job
        self._scene_name = scene.name
        home = Path(scene.milo.backend_home) if scene.milo.backend_home else preferences.home()
        if not (job or photo_job):
            return
        try:
            there = self.backend.attach(home)
        except Problem as problem:
            self.problem = problem
            return
        if there:
            self._wanted = lambda: self._follow_again(scene.name)

    def _follow_again(self, name: str) -> None:
        scene = bpy.data.scenes.get(name)
        if scene is not None and scene.milo.job:
            self.follow(scene.milo.job)
        if scene is not None and scene.milo.photo_job:
            self.photos.follow(scene)
        if scene is not None and scene.milo_finish.job:
            self.finishing.follow(scene)

    def close(self) -> None:
        """End threads, connection and the backend that Blender started."""
        if self.starting:
            self.starting.cancel()
        for work in (self.photos, self.finishing, self.storing):
            work.close()
        self.backend.close()
        if self.starting:
            self.starting.join(5.0)

    # -- the poll ------------------------------------------------------------------------------------------------------

    def poll(self, budget_s: float = BUDGET_S) -> bool:
        """Take a step. Returns whether more is to be expected."""
        end = time.perf_counter() + budget_s
        self.backend.step()
        if self._wanted and self.backend.state == READY:
            wanted, self._wanted = self._wanted, None
            wanted()
        if self.starting and self.starting.done:
            self._started()
        self._take_replies(end)
        other_work = [work.step() for work in (self.photos, self.storing, self.pairing, self.outlook, self.preview)]
        other_work.append(self.finishing.step(end))
        self.job_list.step()
        self._step_others(end)
        if self.watch:
            self._rebind()
            self.watch.keep_going()
            if time.perf_counter() < end:
                self.refresh.show(self.watch, self._scene_of, end)
        return bool(
            self._wanted
            or self.starting
            or self._replies
            or self.refresh.transferring
            or self.others
            or any(other_work)
            or (self.watch and not self.watch.complete)
        )

    def wait(self, condition: Callable[[Session], Any], timeout_s: float = 60.0) -> bool:
        """Poll until the condition holds, for scripts. Returns whether it came to hold in time."""
        end = time.monotonic() + timeout_s
        while True:
            self.poll(budget_s=1.0)
            if condition(self):
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.02)

    # ------------------------------------------------------------------------------------------------------------------

    def when_ready(self, action: Callable[[], None], home: Path | None = None) -> None:
        """Do something once the backend is ready, which is started where needed. Raises Problem."""
        self.problem = None
        self._wanted = action
        if self.backend.state != READY:
            try:
                self.start_backend(home)
            except Problem:
                self._wanted = None
                raise

    def _begin(self, wanted: Reconstruction) -> None:
        self.starting = JobStart(self.backend.client, wanted)

    def _started(self) -> None:
        done, self.starting = self.starting, None
        self.problem = done.problem
        scene = bpy.data.scenes.get(self._scene_name)
        info: JobInfo | None = done.result
        if info and scene:
            scene.milo.job = info.job
            scene.milo.backend_home = str(self.backend.home)
            self.follow(info.job, info)

    def ask(self, message: Any, then: Callable[[Any], None], failed: str = "") -> Future:
        """Send a request; `then` gets the reply in a later poll, a refusal becomes the problem, after `failed`."""
        if self.backend.client is None:  # it ended between the poll of a button and its press
            future = Future()
            future.set_exception(self.backend.problem or NoBackend("No backend is running.", "Start the backend."))
        else:
            future = self.backend.client.request(message)
        self._replies.append((future, then, failed))
        return future

    def wants(self, action: Callable[[], None]) -> bool:
        """Whether this will be done once the backend, which is being started, is ready."""
        return self._wanted is action and self.backend.state in (STARTING, READY)

    def wants_no_more(self) -> None:
        """Forget what was to be done once the backend is ready."""
        self._wanted = None

    def is_waiting_for(self, future: Future) -> bool:
        """Whether the answer to a request has yet to be dealt with."""
        return any(future is waiting for waiting, *_ in self._replies)

    def told(self, info: JobInfo) -> None:
        if self.watch and self.watch.job == info.job:
            self.watch.tell(info)
        self.job_list.hurry()

    def _take_replies(self, end: float) -> None:
        ready = [reply for reply in self._replies if reply[0].done()]
        for reply in ready:
            self._replies.remove(reply)
            future, then, failed = reply
            error = future.exception()
            if error is None:
                then(future.result())
            elif isinstance(error, Problem):
                self.problem = Problem(f"{failed} {error.message}", error.hint) if failed else error
            else:
                raise error
            if time.perf_counter() > end:
                return

    def _rebind(self) -> None:
        """Keep the watch on the present connection (there may be a new backend) and on the user's choices."""
        scene = self._scene_of(self.watch.job)
        elsewhere = scene is not None and self.with_another_backend(scene)
        if self.backend.state == READY and not self.reaches_job and not elsewhere:
            self.follow(self.watch.job)
        if scene:
            self.watch.live, self.watch.max_triangles = scene.milo.live_mesh, scene.milo.max_triangles
            self.watch.interval_s = scene.milo.refresh_s
        obj = mesh_object.find(self.watch.job)
        self.watch.frozen = obj is not None and obj.milo.frozen

    def _step_others(self, end: float) -> None:
        """Go on with jobs that another one has taken the place of in the panel."""
        for other in list(self.others):
            obj = mesh_object.find(other.job)
            lost = obj is None or other.client is not self.backend.client
            if lost or (other.complete and (obj.milo.frozen or obj.milo.sequence >= other.mesh_seq)):
                self.others.remove(other)
                continue
            other.frozen = obj.milo.frozen
            other.keep_going()
            self.refresh.show(other, lambda job: None, end)

    def _scene_of(self, job: str) -> bpy.types.Scene | None:
        scene = next((scene for scene in bpy.data.scenes if scene.milo.job == job), None)
        if scene is None:  # an undo went back to before the job: it goes on nevertheless
            scene = bpy.data.scenes.get(self._scene_name)
            if scene is not None and not scene.milo.job:
                scene.milo.job, scene.milo.backend_home = job, str(self.backend.home)
        return scene


_current: Session | None = None


def current() -> Session:
    """The session of this Blender, made at first use after the add-on was enabled."""
    global _current
    if _current is None:
        _current = Session()
    return _current


def poll() -> bool:
    """One step of the current session, for scripts in background."""
    return current().poll()


def unregister() -> None:
    global _current
    if _current is not None:
        _current.close()
    _current = None
