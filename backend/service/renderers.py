# SPDX-License-Identifier: Apache-2.0
"""Processes that draw splats (render_worker.py): started when somebody looks, ended when nobody does.

A view that is being turned asks faster than a CPU can draw: each process draws one picture at a time, and of the
requests of one view of a client that wait, only the newest is drawn; the older ones are answered with Nothing.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from milo.protocol import pack
from milo.protocol.messages import Error, Nothing, RenderSplats

from .launcher import new_group
from .peer import Peer
from .pipes import read_frames, write_frames
from .render_worker import PAINTER

IDLE_S = 60.0
PATIENCE_S = 120.0     # for one picture
MOST = 2               # processes at once; each holds torch
Jobs = tuple[str, ...]


class Renderers:
    """send(client, frames) and reply(peer, message) answer; post runs a function on the server's loop."""

    def __init__(self, jobs: Path, blobs: Path, device: str, codec: str, painter: str | None,
                 post: Callable[[Callable[[], None]], None], send: Callable[[bytes, list], None],
                 reply: Callable[[Peer, Any], None]):
        self.jobs, self.blobs, self.device, self.codec, self.painter = jobs, blobs, device, codec, painter or PAINTER
        self.post, self.send, self.reply = post, send, reply
        self._renderers: dict[Jobs, _Renderer] = {}

    def ask(self, peer: Peer, request: RenderSplats) -> None:
        jobs = (request.job, *request.others)
        renderer = self._renderers.get(jobs)
        if renderer is None:
            self._make_room()
            renderer = self._renderers[jobs] = _Renderer(self, jobs)
        renderer.ask(peer, request)

    def tick(self) -> None:
        now = time.monotonic()
        for jobs, renderer in list(self._renderers.items()):
            if renderer.drawing is None and now - renderer.used_at > IDLE_S:
                self._close(jobs)
            elif renderer.drawing is not None and now - renderer.used_at > PATIENCE_S:
                renderer.process.kill()       # its end answers everybody

    def close(self, job: str) -> None:
        """End the processes that draw a job."""
        for jobs in [jobs for jobs in self._renderers if job in jobs]:
            self._close(jobs)

    def close_all(self) -> None:
        for jobs in list(self._renderers):
            self._close(jobs)

    def _close(self, jobs: Jobs) -> None:
        self._renderers.pop(jobs).close()

    def _make_room(self) -> None:
        if len(self._renderers) >= MOST:
            self._close(min(self._renderers, key=lambda jobs: self._renderers[jobs].used_at))

    def forget(self, renderer: _Renderer) -> None:
        if self._renderers.get(renderer.jobs) is renderer:
            del self._renderers[renderer.jobs]


class _Renderer:
    def __init__(self, owner: Renderers, jobs: Jobs):
        self.owner, self.jobs = owner, jobs
        self.drawing: Peer | None = None
        self.waiting: dict[tuple[bytes, str], tuple[Peer, RenderSplats]] = {}     # the newest of each client's views
        self.used_at = time.monotonic()
        folders = [owner.jobs / job for job in jobs]
        command = [sys.executable, "-m", "milo.backend.service.render_worker", *map(str, folders), "--blobs",
                   str(owner.blobs), "--device", owner.device, "--codec", owner.codec, "--painter", owner.painter]
        with open(folders[0] / "render.log", "wb") as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                                            **new_group())
        self._outbox: SimpleQueue[list | None] = SimpleQueue()     # None: the end
        for work in (self._read, self._write):
            threading.Thread(target=work, daemon=True).start()

    def ask(self, peer: Peer, request: RenderSplats) -> None:
        view = peer.client, request.view
        if (older := self.waiting.pop(view, None)) is not None:
            self.owner.reply(older[0], Nothing())
        self.waiting[view] = (peer, request)
        self._next()

    def _next(self) -> None:
        if self.drawing is not None or not self.waiting:
            return
        self.drawing, request = self.waiting.pop(next(iter(self.waiting)))
        self.used_at = time.monotonic()
        self._outbox.put(pack(request, self.drawing.request_id))

    def _write(self) -> None:
        """A pipe takes some 64 KB of a pose before the process, which has to load torch first, reads the rest."""
        with contextlib.suppress(OSError):     # dead: the reader says so
            while (frames := self._outbox.get()) is not None:
                write_frames(self.process.stdin, frames)
        with contextlib.suppress(OSError):
            self.process.stdin.close()     # it ends at the end of its input

    def _read(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            while (frames := read_frames(self.process.stdout)) is not None:
                self.owner.post(lambda frames=frames: self._drawn(frames))
        self.process.wait()
        self.owner.post(self._ended)

    def _drawn(self, frames: list[bytes]) -> None:
        if self.drawing is not None:
            self.owner.send(self.drawing.client, frames)
        self.drawing, self.used_at = None, time.monotonic()
        self._next()

    def _ended(self) -> None:
        self.owner.forget(self)
        self._outbox.put(None)
        unanswered = [peer for peer, _ in self.waiting.values()] + ([self.drawing] if self.drawing else [])
        self.waiting, self.drawing = {}, None
        for peer in unanswered:
            self.owner.reply(peer, Error("worker_died", "The process that draws the splats has ended.",
                                         "Look again; if it happens again, the view may be too large for the memory."))

    def close(self) -> None:
        self._outbox.put(None)
        if self.drawing is not None:
            self.process.kill()
