# SPDX-License-Identifier: Apache-2.0
"""What a worker tells of its work: figures now and then, and meshes, whose levels of detail are made beside it."""

from __future__ import annotations

import contextlib
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from milo.backend.alignment.events import AlignProgress
from milo.backend.training.events import Progress, Snapshot

from .lod import command
from .mesh_files import Mesh
from .snapshots import prepare_snapshot, publish_snapshot, remove_unfinished, sequence
from .words import Progressed, SnapshotWritten, say

LIVE_TRIANGLES = 200_000    # level of detail made in advance: the default of mesh.next
PROGRESS_EVERY_S = 0.2


class Making(NamedTuple):
    """A mesh that is written but not shown yet."""

    word: SnapshotWritten
    building: Path
    lod: subprocess.Popen | None   # makes its level of detail


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


def _newer(measured: float | None, last: float | None) -> float | None:
    return last if measured is None or not math.isfinite(measured) else measured
