# SPDX-License-Identifier: Apache-2.0
"""The jobs: their states, their queue, one running job for each device.

            start          a device is free            done
    (new) --------> queued ----------------> running --------> finished
                     ^  |                      |  |  `-------> failed
              resume |  | pause          pause |  | server gone
                     |  v                      v  v
                     paused  <-----------------'  interrupted        cancel, from any of them: cancelled

Resume queues a job again that is paused, interrupted, failed or cancelled, at the place it had. Everything here runs on
the server's loop; workers' threads post to it.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from milo.protocol import ProtocolError
from milo.protocol.limits import MAX_JOBS, MAX_TEXT
from milo.protocol.messages import JobInfo

from .files import tail
from .job_folder import read_request
from .launcher import Launcher, Worker
from .snapshots import sequence
from .store import Store
from .words import Ended, GaveUp, Noted, Progressed, SnapshotWritten, Word

log = logging.getLogger(__name__)

KILL_AFTER_S = 1.0       # of a terminated worker that still runs; the promise is two seconds in total
SAVE_EVERY_S = 2.0       # progress in the store
RESUMABLE = ("paused", "interrupted", "failed", "cancelled")


@dataclass
class Job:
    info: JobInfo
    place: int                        # in the queue, for life
    worker: Worker | None = None
    slot: str = ""                    # of our devices, which it occupies while it has a worker
    key: object = None                # of the worker that may speak; late words of an earlier one are dropped
    wish: str = ""                    # what the end of the worker is to mean: pause, again, cancel, delete, stop
    kill_at: float = float("inf")
    ended: Ended | None = None        # the worker's last words
    gave_up: GaveUp | None = None
    saved_at: float = float("-inf")


class Jobs:
    """All jobs of a workspace.

    post: runs a function on the server's loop, from any thread. changed: called with a job's id after every change.
    """

    def __init__(self, store: Store, folder: Path, launcher: Launcher, devices: tuple[str, ...],
                 post: Callable[[Callable[[], None]], None], changed: Callable[[str], None]):
        self.store, self.folder, self.launcher, self.devices = store, folder, launcher, devices
        self.post, self.changed = post, changed
        self.stopping = False
        self.deleted = set(store.deleted())      # jobs whose files are still to be removed
        self._jobs: dict[str, Job] = {}
        for info, place in store.load():
            if not (folder / info.job).is_dir():     # deleted, when it could not be noted
                store.forget(info.job)
                continue
            job = self._jobs[info.job] = Job(info, place)
            newest = max(sequence(folder / info.job / "snapshots"), default=0)
            job.info = dataclasses.replace(info, mesh_seq=newest)
            if info.state == "running":       # the server was killed; the worker ended when its stdin did
                self._change(job, state="interrupted", stage="", device="", eta_s=None)
        self._schedule()

    # ---------------------------------------------------------------- requests

    def ids(self) -> list[str]:
        return list(self._jobs)

    def infos(self) -> tuple[JobInfo, ...]:
        """Oldest first."""
        return tuple(job.info for job in sorted(self._jobs.values(), key=lambda job: job.place))

    def get(self, job: str) -> JobInfo:
        return self._find(job).info

    def start(self, job: str, name: str, task: str, state: str = "queued") -> JobInfo:
        """Queue a job whose folder is there; or enter one that is finished."""
        if len(self._jobs) >= MAX_JOBS:
            raise ProtocolError("bad_request", f"There are {MAX_JOBS} jobs already.", "Delete old ones.")
        place = max((job.place for job in self._jobs.values()), default=0) + 1
        info = JobInfo(job, name, state, revision=time.time_ns() // 1_000_000, created=time.time(), task=task)
        self.store.save(info, place)
        self._jobs[job] = Job(info, place)
        self._schedule()
        return self.get(job)

    def pause(self, job: str) -> JobInfo:
        found = self._find(job)
        match found.info.state:
            case "running":
                if found.wish in ("", "again"):
                    found.wish = "pause"
                    found.worker.ask_to_stop()
                    self._change(found, stage="pausing")
            case "queued":
                self._change(found, state="paused")
            case "paused":
                pass
            case state:
                raise ProtocolError("bad_request", f"This job is {state}: there is nothing to pause.")
        return found.info

    def resume(self, job: str) -> JobInfo:
        found = self._find(job)
        if found.info.state in RESUMABLE:
            self._change(found, state="queued", error="", hint="", stage="")
            self._schedule()
        elif found.wish == "pause":
            found.wish = "again"
        elif found.info.state == "finished":
            raise ProtocolError("bad_request", "This job is finished.", "Start a new one with other settings.")
        return self.get(job)

    def cancel(self, job: str) -> JobInfo:
        found = self._find(job)
        if found.info.state == "running":
            self._end_worker(found, "cancel")
        elif found.info.state not in ("finished", "cancelled"):
            self._change(found, state="cancelled", stage="", eta_s=None)
        return found.info

    def delete(self, job: str) -> JobInfo:
        """Forget a job; its folder is removed by whoever watches `deleted`, once no worker is in it.

        Raises ProtocolError not_ready: its finishing, which reads that folder, is queued or running.
        """
        found = self._find(job)
        for other in self._jobs.values():
            awaited = other.info.state in ("queued", "running") and other.wish not in ("cancel", "delete")
            if other.info.task == "finish" and awaited and self._source(other) == job:
                raise ProtocolError("not_ready", f"This reconstruction cannot be deleted while its finishing is "
                                                 f"{other.info.state}.", "Wait for its end, or cancel it.")
        if found.info.state == "running":
            self._end_worker(found, "delete")
        else:
            self._remove(found)
        return found.info

    # ----------------------------------------------------------------- workers

    def tick(self) -> None:
        """To be called about every tenth of a second."""
        now = time.monotonic()
        for job in self._jobs.values():
            if job.worker is not None and now >= job.kill_at:
                job.worker.kill()

    def limit_logs(self) -> None:
        for job in self._jobs.values():
            if job.worker is not None:
                job.worker.limit_log()

    def stop(self) -> None:
        """Ask all workers to save and end; their jobs become interrupted."""
        self.stopping = True
        for job in self._jobs.values():
            if job.worker is not None and job.wish in ("", "again", "pause"):
                if job.wish != "pause":
                    job.wish = "stop"
                job.worker.ask_to_stop()

    def kill_all(self) -> None:
        for job in self._jobs.values():
            if job.worker is not None:
                job.worker.kill()

    @property
    def running(self) -> bool:
        return any(job.worker is not None for job in self._jobs.values())

    def save(self) -> None:
        for job in self._jobs.values():
            self.store.save(job.info, job.place)

    def _schedule(self) -> None:
        """Start the first jobs of the queue on the devices that are free."""
        if self.stopping:
            return
        busy = {job.slot for job in self._jobs.values() if job.worker is not None}
        queued = sorted((job for job in self._jobs.values() if job.info.state == "queued"), key=lambda job: job.place)
        for job, device in zip(queued, [device for device in self.devices if device not in busy]):
            self._launch(job, device)

    def _launch(self, job: Job, device: str) -> None:
        job.slot, job.wish, job.kill_at, job.ended, job.gave_up = device, "", float("inf"), None, None
        key = job.key = object()

        def on_word(word: Word):
            self.post(lambda: self._on_word(job, key, word))

        def on_end(status: int):
            self.post(lambda: self._on_end(job, key, status))
        try:
            job.worker = self.launcher.start(self.folder / job.info.job, device, on_word, on_end)
        except OSError as error:
            self._change(job, state="failed", error=f"The worker could not be started: {error}"[:MAX_TEXT])
            return
        self._change(job, state="running", stage="starting", device=device, error="", hint="", eta_s=None)

    def _end_worker(self, job: Job, wish: str) -> None:
        if job.wish not in ("cancel", "delete"):
            job.worker.terminate()
            job.kill_at = time.monotonic() + KILL_AFTER_S
        job.wish = "delete" if "delete" in (wish, job.wish) else wish
        self._change(job, stage="cancelling")

    def _on_word(self, job: Job, key: object, word: Word) -> None:
        if job.worker is None or job.key is not key:
            return
        match word:
            case Progressed():
                fields = {f.name: getattr(word, f.name) for f in dataclasses.fields(word)}
                for measured in ("loss", "psnr"):
                    if fields[measured] is None:      # of a worker that has just resumed: the last ones stay
                        del fields[measured]
                if job.wish:
                    del fields["stage"]
                self._change(job, durable=time.monotonic() - job.saved_at > SAVE_EVERY_S, **fields)
            case Noted():
                self._change(job, note=word.text, device=word.device)
            case SnapshotWritten():
                self._change(job, durable=False, mesh_seq=max(word.seq, job.info.mesh_seq))
            case Ended():
                job.ended = word
            case GaveUp():
                job.gave_up = word

    def _on_end(self, job: Job, key: object, status: int) -> None:
        if job.key is not key:
            return
        wish, saved = job.wish, status == 0 and job.ended is not None and job.ended.stopped
        job.worker, job.wish, job.kill_at = None, "", float("inf")
        rest = {"stage": "", "device": "", "eta_s": None}
        if wish == "delete":
            self._remove(job)
        elif status == 0 and job.ended is not None and not job.ended.stopped:
            psnr = job.info.psnr if job.ended.psnr is None else job.ended.psnr
            self._change(job, state="finished", psnr=psnr, iteration=job.info.iterations, **rest | {"eta_s": 0.0})
        elif wish == "cancel":
            self._change(job, state="cancelled", **rest)
        elif job.gave_up is not None:
            self._change(job, state="failed", error=job.gave_up.error, hint=job.gave_up.hint, **rest)
        elif saved and wish in ("pause", "again"):
            self._change(job, state="paused" if wish == "pause" else "queued", **rest)
        elif saved or self.stopping:
            self._change(job, state="interrupted", **rest)
        else:
            error, hint = self._post_mortem(job.info.job, status)
            self._change(job, state="failed", error=error, hint=hint, **rest)
        self._schedule()

    def _post_mortem(self, job: str, status: int) -> tuple[str, str]:
        """What can be said of a worker that ended without a word."""
        last = tail(self.folder / job / "worker.log", 1)[:500]
        said = f" Its last line was: {last}" if last else ""
        if status == -9:
            return (f"The worker was killed (signal 9).{said}",
                    "The machine was probably out of memory: use fewer or smaller photos, or a smaller preset, "
                    "then resume.")
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return (f"The worker ended unexpectedly ({how}).{said}",
                "The job's log says more. Resume goes on from the last save.")

    # -------------------------------------------------------------------- state

    def _find(self, job: str) -> Job:
        found = self._jobs.get(job)
        if found is None or found.wish == "delete":
            raise ProtocolError("unknown_job", f"The backend has no job {job!r}.", "It may have been deleted.")
        return found

    def _source(self, finishing: Job) -> str:
        try:
            return read_request(self.folder / finishing.info.job).scene.job
        except ProtocolError:      # it will fail of itself
            return ""

    def _change(self, job: Job, durable: bool = True, **fields) -> None:
        # The clock keeps revisions growing over a restart, although not every one is saved.
        revision = max(job.info.revision + 1, time.time_ns() // 1_000_000)
        job.info = dataclasses.replace(job.info, revision=revision, **fields)
        if durable:
            job.saved_at = time.monotonic()
            try:
                self.store.save(job.info, job.place)
            except ProtocolError as error:      # a full disk: the job itself goes on, `save` tries again at the end
                log.error("The state of job %s could not be saved: %s", job.info.job, error)
        self.changed(job.info.job)

    def forget(self, job: str) -> None:
        """The files of a deleted job are gone."""
        self.store.forget(job)
        self.deleted.discard(job)

    def _remove(self, job: Job) -> None:
        del self._jobs[job.info.job]
        self.deleted.add(job.info.job)
        try:
            self.store.mark_deleted(job.info.job)
        except ProtocolError as error:      # a full disk: its files go all the same, which makes room
            log.error("The deletion of job %s could not be noted: %s", job.info.job, error)
        self.changed(job.info.job)
