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
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from milo.backend.alignment.events import Aligned, AlignProgress
from milo.backend.training.errors import TrainingError
from milo.backend.training.events import Event, Finished, Notice, Progress, Snapshot
from milo.protocol import ProtocolError

from .blobs import Blobs
from .files import is_full, lock
from .forecasts import learn
from .job_folder import build_scene, keep_photos, read_request
from .reporter import Reporter
from .words import Ended, GaveUp, Noted, Progressed, say

RUNNER = "milo.backend.service.worker:reconstruct_scene"
OTHER_RUNNERS = {"align": "milo.backend.service.photo_tasks:align_photos",
                 "photos": "milo.backend.service.photo_tasks:report_photos",
                 "finish": "milo.backend.service.finish_task:finish_job"}
INTERVAL_KEY = "service.snapshot_interval_s"   # a setting of the job: seconds between live meshes
INTERVAL_S = 2.0
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
