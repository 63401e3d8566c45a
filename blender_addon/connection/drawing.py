# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of splats on a deformed surface from the backend, which is sent the surface and the pose that it lacks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..protocol.messages import Nothing, Picture, RenderSplats
from ..protocol.surfaces import Pose, Surface
from .client import Client
from .errand import Errand
from .problems import Cancelled, Refused
from .upload import Blob, send_blobs

PICTURE_TIMEOUT_S = 300.0
LOOK_S = 0.05  # how often a wait looks whether it was cancelled


@dataclass(frozen=True, eq=False)
class Question:
    """What to draw: the reconstructions of a surface in the order of their numbers, and a camera as in RenderSplats."""

    jobs: tuple[str, ...]
    surface: Surface
    pose: Pose
    viewmat: np.ndarray
    K: np.ndarray
    width: int
    height: int
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    view: str = ""
    exact: bool = False


class Sent:
    """Which pose the backend was given last by one who asks again and again."""

    def __init__(self) -> None:
        self.last: tuple | None = None


def draw(client: Client, question: Question, sent: Sent, cancelled: threading.Event) -> Picture | Nothing:
    """Ask for a picture and wait for it; for worker threads. Nothing: a newer question of the same view came.

    Raises:
        Problem: the backend is gone, or cannot draw this.
        Cancelled
    """
    here = (client, question.jobs, question.surface.hash, question.pose.hash)
    try:
        picture = _wait(_ask(client, question, with_pose=sent.last != here), cancelled)
    except Refused as refusal:
        if refusal.code != "not_ready":
            raise
        surface = question.surface.pack()
        send_blobs(client, [Blob(question.surface.hash, len(surface), surface)], lambda _done, _of: None, cancelled)
        picture = _wait(_ask(client, question, with_pose=True), cancelled)
    sent.last = here
    return picture


class Drawing(Errand):
    """A picture on its way, on a thread of its own, for the main thread to look at.

    Attributes, written by its thread:
        result: what `prepare` has made of the picture that came; None if a newer question was answered instead.
        problem: why nothing came, or None.
    """

    def __init__(self, client: Client, question: Question, sent: Sent, prepare: Callable[[Picture], Any]):
        self._client, self._question, self._sent, self._prepare = client, question, sent, prepare
        super().__init__("drawing", self._draw)

    def _draw(self) -> Any:
        picture = draw(self._client, self._question, self._sent, self.cancelled)
        return self._prepare(picture) if isinstance(picture, Picture) else None


def _ask(client: Client, question: Question, with_pose: bool) -> Future:
    arrays = {"positions": question.pose.positions, "matrices": question.pose.matrices} if with_pose else {}
    first, *others = question.jobs
    return client.request(
        RenderSplats(
            first, tuple(question.viewmat.ravel().tolist()), tuple(question.K.ravel().tolist()), question.width,
            question.height, question.background, question.surface.hash, question.pose.hash, **arrays,
            others=tuple(others), view=question.view, exact=question.exact,
        ),
        PICTURE_TIMEOUT_S,
    )


def _wait(future: Future, cancelled: threading.Event) -> Picture | Nothing:
    while True:
        try:
            return future.result(LOOK_S)
        except TimeoutError:
            if cancelled.is_set():
                raise Cancelled from None
