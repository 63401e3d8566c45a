# SPDX-License-Identifier: GPL-3.0-or-later
"""A training view beside its photo, and the course of the training, for as long as somebody looks at them."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

from .connection.watch import ENDED
from .course import METRICS, Course, picture
from .protocol.messages import FileChunk, GetFile, JobInfo, NextPreview, Preview
from .scene import pictures

if TYPE_CHECKING:
    from .session import Session

SEEN_S = 3.0  # a panel that was not drawn for so long is not seen; while a job runs, it is drawn several times a second
METRICS_EVERY_S = 10.0
CURVE_EVERY_S = 1.0
PIECE_BYTES = 1 << 18  # of the metrics at a time: their lines are read on the main thread


class PreviewWork:
    """One per session, on Blender's main thread.

    Attributes:
        shown: the newest Preview, or None.
    """

    def __init__(self, session: Session):
        self.session = session
        self._seen_at = float("-inf")
        self._start("")

    def _start(self, job: str) -> None:
        self.job, self.shown, self.course = job, None, Course()
        self._asked: Future | None = None
        self._asked_seq = 0
        self._reading: tuple[Future, int] | None = None
        self._read_at = self._asked_at = self._drawn_at = float("-inf")
        self._read_end = False
        self._drawn: tuple = ()

    def look(self) -> None:
        """To be called by whoever shows it, with every drawing."""
        self._seen_at = time.monotonic()

    @property
    def is_seen(self) -> bool:
        return time.monotonic() - self._seen_at < SEEN_S or pictures.is_open()

    @property
    def state(self) -> tuple:
        """Changes when the panel would look different."""
        return self.shown.seq if self.shown else 0, self._drawn

    def step(self) -> bool:
        """Take a step. Returns whether more is to be expected."""
        info = self.session.job_info
        if info is None:
            return False
        if info.job != self.job:
            self._start(info.job)
            pictures.clear("photo", "rendering", "curve")
        if info.state == "running":
            self.course.add(info.iteration, info.loss if info.stage in ("splats", "mesh") else None, info.psnr)
        self._take_answers()
        if not self.is_seen:
            return False
        if self.session.reaches_job:
            self._ask(info)
        self._draw_curve(info)
        return self._asked is not None or self._reading is not None

    def open(self) -> None:
        """Put what is there into the image for the image editor, and keep it up to date while that shows it."""
        if self.shown is not None:
            pictures.show_beside(pictures.upright(self.shown.photo), pictures.upright(self.shown.rendering))

    def _ask(self, info: JobInfo) -> None:
        now, client = time.monotonic(), self.session.backend.client
        due = now >= self._asked_at + self.session.watch.interval_s
        if self._asked is None and info.mesh_seq > self._asked_seq and due:
            self._asked_at, self._asked_seq = now, info.mesh_seq
            self._asked = client.request(NextPreview(info.job, self.shown.seq if self.shown else 0))
        ended = info.state in ENDED
        due = not self._read_end if ended else now >= self._read_at + METRICS_EVERY_S
        if self._reading is None and due:
            self._read_at, self._read_end = now, ended
            self._reading = client.request(GetFile(info.job, METRICS, self.course.read, PIECE_BYTES)), self.course.read

    def _take_answers(self) -> None:
        if self._asked is not None and self._asked.done():
            answer, self._asked = self._asked, None
            if answer.exception() is None and isinstance(answer.result(), Preview):
                self._show(answer.result())
        if self._reading is not None and self._reading[0].done():
            (answer, offset), self._reading = self._reading, None
            if answer.exception() is None and isinstance(answer.result(), FileChunk):
                piece = answer.result()
                self.course.take_in(bytes(piece.data), offset)
                if offset + len(piece.data) < piece.size and self.course.read > offset:  # the next one at once
                    self._read_at, self._read_end = float("-inf"), False

    def _show(self, shown: Preview) -> None:
        self.shown = shown
        pictures.show("photo", pictures.upright(shown.photo))
        pictures.show("rendering", pictures.upright(shown.rendering))
        if pictures.is_open():
            self.open()

    def _draw_curve(self, info: JobInfo) -> None:
        now = time.monotonic()
        if self.course.state != self._drawn and now >= self._drawn_at + CURVE_EVERY_S:
            self._drawn, self._drawn_at = self.course.state, now
            training = info.stage in ("splats", "mesh") and info.iterations
            last = info.iterations if training else max(self.course.losses, default=1)
            pictures.show("curve", picture(self.course, last))
