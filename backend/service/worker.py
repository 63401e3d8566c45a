# SPDX-License-Identifier: Apache-2.0
"""The process of one job: builds its scene, reconstructs, writes snapshots, tells the server.

    python -m milo.backend.service.worker JOB_FOLDER --blobs FOLDER --device cpu [--runner module:function]

stdin: "stop" (in fact anything) asks for a checkpoint and the end; so does its end, for then the server is gone.
stdout: words (words.py); whatever else libraries print there goes to stderr. stderr: the job's log.

A runner is `run(folder, device, should_stop)`, an iterator of the events of `milo.backend.training`, or, for the tasks
about photos, of `milo.backend.alignment`. Each task has its own; --runner replaces that of reconstructions, for other
launchers and for tests.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import math
import os
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from milo.backend.alignment.events import Aligned, AlignProgress
from milo.backend.training.errors import TrainingError
from milo.backend.training.events import Event, Finished, Notice, Progress, Snapshot
from milo.protocol import ProtocolError

from .blobs import Blobs
from .files import is_full, lock
from .forecasts import learn
from .job_folder import build_scene, keep_photos, read_request
from .lod import command
from .mesh_files import Mesh
from .snapshots import prepare_snapshot, publish_snapshot, remove_unfinished, sequence
from .words import Ended, GaveUp, Noted, Progressed, SnapshotWritten, say

RUNNER = "milo.backend.service.worker:reconstruct_scene"
OTHER_RUNNERS = {"align": "milo.backend.service.photo_tasks:align_photos",
                 "photos": "milo.backend.service.photo_tasks:report_photos",
                 "finish": "milo.backend.service.finish_task:finish_job"}
INTERVAL_KEY = "service.snapshot_interval_s"   # a setting of the job: seconds between live meshes
INTERVAL_S = 2.0
LIVE_TRIANGLES = 200_000                       # level of detail made in advance: the default of mesh.next
PROGRESS_EVERY_S = 0.2
ORPHAN_S = 600.0                               # an orphan that has not saved by then is stuck


def reconstruct_scene(folder: Path, device: str, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """The runner of the product: load the scene and the settings, train."""
    from milo.backend.config import load_config
    from milo.backend.data.scene import load_scene
    from milo.backend.devices import choose_device
    from milo.backend.machine import cores
    from milo.backend.training import outlook
    from milo.backend.training.memory import most_pixels
    from milo.backend.training.reconstruct import reconstruct

    request = read_request(folder)
    settings = {key: value for key, value in request.settings.items() if not key.startswith("service.")}
    config = load_config(request.preset, settings)
    scene = load_scene(folder / "scene", config.data)
    device = choose_device(device)
    for event in reconstruct(scene, config, folder / "run", device=device, should_stop=should_stop, resume=True):
        if isinstance(event, Finished) and not event.stopped:
            kind, pixels = device.partition(":")[0], most_pixels(scene)
            with contextlib.suppress(OSError):     # a forecast less is no reason for a finished run to fail
                learn(folder.parent.parent, kind, sum(event.seconds.values()),
                      outlook.seconds(pixels, len(scene.points), config, kind, cores()))
        yield event


class StopRequest:
    """Set by anything on stdin, or by its end."""

    def __init__(self):
        self._event = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def __call__(self) -> bool:
        return self._event.is_set()

    def _listen(self) -> None:
        while os.read(0, 4096):     # not sys.stdin: its lock would be held at the interpreter's end
            self._event.set()
        self._event.set()
        time.sleep(ORPHAN_S)
        os._exit(1)


class Reporter:
    """Turns what a reconstruction yields into snapshots on disk and words for the server."""

    def __init__(self, folder: Path, pipe, interval_s: float):
        self.snapshots, self.pipe, self.interval_s = folder / "snapshots", pipe, interval_s
        remove_unfinished(self.snapshots)
        self.seq = max(sequence(self.snapshots), default=0)
        self.last_progress = self.last_snapshot = float("-inf")
        self.held: Progressed | None = None
        self.making: Making | None = None
        self.waiting: Snapshot | None = None    # the newest mesh that came meanwhile
        self.loss: float | None = None      # measured now and then, and not all steps are told: the last ones known
        self.psnr: float | None = None

    def progress(self, event: Progress) -> None:
        self.loss, self.psnr = _newer(event.loss, self.loss), _newer(event.psnr, self.psnr)
        self._tell(Progressed(event.stage, event.iteration, event.iterations, self.loss, event.gaussians,
                              event.vertices, event.eta_s, self.psnr))

    def photos(self, event: AlignProgress) -> None:
        self._tell(Progressed(event.stage, event.done, event.total))

    def _tell(self, word: Progressed) -> None:
        now = time.monotonic()
        if now - self.last_progress >= PROGRESS_EVERY_S:
            self.last_progress, self.held = now, None
            say(self.pipe, word)
        else:
            self.held = word

    def flush(self) -> None:
        """Say the progress that was held back."""
        if self.held is not None:
            say(self.pipe, self.held)
            self.held = None

    def snapshot(self, event: Snapshot) -> None:
        """Write a mesh; it is shown when its level of detail is there, which training does not wait for.

        A live mesh is left out if it comes soon after the one before; of those that come while one is in the making,
        the newest waits. The final one does not wait.
        """
        if event.kind == "live" and time.monotonic() - self.last_snapshot < self.interval_s:
            return
        if event.kind == "final":
            self._hurry()
        if self.making is not None:
            self.waiting = event
            return
        self.waiting = None
        self.seq += 1
        try:
            building = prepare_snapshot(self.snapshots, self.seq, event.kind, event.iteration,
                                        Mesh(event.verts, event.faces, event.colors), event.preview, event.photo)
        except (ValueError, OSError) as error:      # a picture of the work, not the work itself
            print(f"snapshot at iteration {event.iteration} not written: {error}", file=sys.stderr, flush=True)
            return
        lod = None
        if event.kind != "final" and len(event.faces) > LIVE_TRIANGLES:      # the final one is sent whole
            with contextlib.suppress(OSError):
                lod = subprocess.Popen(command(building, LIVE_TRIANGLES), stdin=subprocess.DEVNULL)
        self.last_snapshot = time.monotonic()
        word = SnapshotWritten(self.seq, event.kind, event.iteration, len(event.faces))
        self.making = Making(word, building, lod)
        self.show()

    def show(self, wait: bool = False) -> None:
        """Let the mesh that was written appear if its level of detail is there; where that failed, without it."""
        if self.making is None:
            return
        word, building, lod = self.making
        if lod is not None and (lod.wait() if wait else lod.poll()) is None:
            return
        self.making = None
        try:
            publish_snapshot(building)
        except OSError as error:
            print(f"snapshot at iteration {word.iteration} not shown: {error}", file=sys.stderr, flush=True)
            shutil.rmtree(building, ignore_errors=True)
        else:
            self.flush()
            say(self.pipe, word)
        if self.waiting is not None:
            event, self.waiting = self.waiting, None
            self.snapshot(event)

    def end(self) -> None:
        """Say what is held back."""
        self._hurry()
        self.flush()

    def _hurry(self) -> None:
        """Let the mesh in the making appear now, without its level of detail if that is not there yet."""
        self.waiting = None
        if self.making is not None and self.making.lod is not None:
            self.making.lod.kill()
        self.show(wait=True)


class Making(NamedTuple):
    """A mesh that is written but not shown yet."""

    word: SnapshotWritten
    building: Path
    lod: subprocess.Popen | None   # makes its level of detail


def _newer(measured: float | None, last: float | None) -> float | None:
    return last if measured is None or not math.isfinite(measured) else measured


def work(folder: Path, blobs: Path, device: str, runner: str, pipe) -> int:
    """Do the job; the exit status."""
    held = _wait_for_lock(folder / "worker.lock")
    if held is None:
        say(pipe, GaveUp("An earlier worker of this job is still saving.", "Resume again in a minute."))
        return 1
    should_stop = StopRequest()
    try:
        say(pipe, Progressed("loading"))
        request = read_request(folder)
        store = Blobs(blobs)
        build_scene(folder, store.path)
        (folder / "run").mkdir(exist_ok=True)
        module, _, name = OTHER_RUNNERS.get(request.task, runner).partition(":")
        run = getattr(importlib.import_module(module), name)
        reporter = Reporter(folder, pipe, float(request.settings.get(INTERVAL_KEY, INTERVAL_S)))
        try:
            for event in run(folder, device, should_stop):
                reporter.show()
                match event:
                    case Notice():
                        say(pipe, Noted(event.text, event.device))
                    case Progress():
                        reporter.progress(event)
                    case Snapshot():
                        reporter.snapshot(event)
                    case AlignProgress():
                        reporter.photos(event)
                    case Finished():
                        reporter.end()
                        say(pipe, Ended(event.stopped, event.psnr))
                    case Aligned():
                        if event.solution is not None:
                            keep_photos(folder, store)
                        reporter.end()
                        say(pipe, Ended(event.stopped))
        finally:
            reporter.end()
        return 0
    except Exception as error:
        traceback.print_exc()
        say(pipe, explain(error))
        return 1


def explain(error: Exception) -> GaveUp:
    """A failure as a sentence for the panel, and what to do."""
    text = str(error).strip().splitlines()[0][:1000] if str(error).strip() else type(error).__name__
    hint = getattr(error, "hint", "")
    if isinstance(error, TrainingError) and not is_full(error.__cause__):
        return GaveUp(text, "")
    if isinstance(error, MemoryError) or "out of memory" in text.lower() or "can't allocate memory" in text.lower():
        return GaveUp(f"Out of memory: {text}", "Use fewer or smaller photos, or a smaller preset, then resume.")
    if is_full(error) or is_full(error.__cause__):
        return GaveUp("The backend's disk is full.", "Free space on the backend, then resume.")
    if isinstance(error, ProtocolError | ValueError | FileNotFoundError):
        return GaveUp(text, hint if isinstance(hint, str) and hint not in text else "")
    return GaveUp(f"{type(error).__name__}: {text}", "The job's log says more.")


def _wait_for_lock(path: Path, patience_s: float = 60.0):
    """The worker of a server that was killed may still be saving its checkpoint."""
    deadline = time.monotonic() + patience_s
    while (held := lock(path)) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return held


def main() -> int:
    parser = argparse.ArgumentParser(prog="milo.backend.service.worker")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--blobs", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runner", default=RUNNER)
    args = parser.parse_args()
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)       # nothing but words may reach the server
    return work(args.folder, args.blobs, args.device, args.runner, pipe)


if __name__ == "__main__":
    sys.exit(main())
