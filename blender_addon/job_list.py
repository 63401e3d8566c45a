# SPDX-License-Identifier: GPL-3.0-or-later
"""All jobs of the backend, for the panel: which run, which wait, which ended. Asked for now and then."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

from .connection.backend import READY
from .protocol.messages import DeleteJob, JobInfo, ListJobs

if TYPE_CHECKING:
    from .session import Session

EVERY_S = 3.0
MOVING = ("queued", "running")


class JobList:
    """Attributes:
    jobs: reconstructions, the newest first, as last heard of.
    """

    def __init__(self, session: Session):
        self.session = session
        self.jobs: list[JobInfo] = []
        self._asked: Future | None = None
        self._next = 0.0

    def hurry(self) -> None:
        """Ask with the next step: something was changed."""
        self._next = 0.0

    def step(self) -> None:
        backend = self.session.backend
        if backend.state != READY:
            self.jobs, self._asked, self._next = [], None, 0.0
            return
        if self._asked is None:
            if time.monotonic() >= self._next:
                self._asked = backend.client.request(ListJobs())
        elif self._asked.done():
            answer, self._asked = self._asked, None
            self._next = time.monotonic() + EVERY_S
            if answer.exception() is None:  # else the connection says what is wrong
                known = [job for job in answer.result().jobs if job.task == "reconstruct"]
                self.jobs = sorted(known, key=lambda job: -job.created)

    def delete(self, job: str) -> None:
        """Have the backend remove a job, which is forgotten once that is done."""
        self.session.ask(DeleteJob(job), self._deleted, "The reconstruction was not deleted.")

    def _deleted(self, info: JobInfo) -> None:
        self.session.forget(info.job)
        self.hurry()

    @property
    def moving(self) -> list[JobInfo]:
        """Those that run or wait, in the order in which they will run."""
        return [job for job in reversed(self.jobs) if job.state in MOVING]
