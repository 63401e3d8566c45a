# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows one job: its figures by job.watch, its meshes by mesh.next, both pulled.

Answers are taken apart and checked on the network thread (the protocol checks every index with numpy), so that the
main thread can hand a mesh to Blender as it is. Only the newest mesh is kept.
"""

from __future__ import annotations

import time
from concurrent.futures import Future

from ..protocol.messages import JobInfo, MeshSnapshot, NextMesh, Nothing, WatchJob
from .client import READY, Client
from .problems import BackendDied, NoBackend, Problem, Refused

WAIT_S = 20.0
ANSWER_S = WAIT_S + 20.0  # for the transfer of a mesh
RETRY_S = 1.0
ENDED = ("finished", "failed", "cancelled")


class Watch:
    """A job as last heard of.

    Attributes:
        info: the newest JobInfo, or None.
        mesh: the newest MeshSnapshot, or None.
        problem: why nothing newer comes, or None.
        gone: the backend has no such job (any more).
        live: ask for previews; without it only the final mesh is fetched.
        frozen: ask for no mesh at all.
        max_triangles: level of detail of previews, 0 for all. The final mesh always comes whole.
        interval_s: least time from one preview to the next.
    """

    def __init__(self, client: Client, job: str, *, live: bool, max_triangles: int):
        self.client = client
        self.job = job
        self.live = live
        self.frozen = False
        self.max_triangles = max_triangles
        self.interval_s = 0.0
        self.info: JobInfo | None = None
        self.mesh: MeshSnapshot | None = None
        self.problem: Problem | None = None
        self.gone = False
        self._asking_info: Future | None = None
        self._asking_mesh: Future | None = None
        self._not_before = 0.0
        self._mesh_at = 0.0

    def keep_going(self) -> None:
        """Ask again for what is not being asked for. Called by every poll."""
        if self.client.state != READY or time.monotonic() < self._not_before:
            return
        if self._asking_info is None and not self._told_all():
            after = self.info.revision if self.info else 0
            question = WatchJob(self.job, after=after, wait_s=WAIT_S if self.info else 0.0)
            self._asking_info = self.client.request(question, ANSWER_S)
            self._asking_info.add_done_callback(self._got_info)
        if self._asking_mesh is None and self._wants_mesh():
            self._asking_mesh = self.client.request(self._mesh_question(), ANSWER_S)
            self._asking_mesh.add_done_callback(self._got_mesh)

    def tell(self, info: JobInfo) -> None:
        """Hear of the job from another request's answer."""
        if self.info is None or info.revision >= self.info.revision:
            self.info = info

    @property
    def complete(self) -> bool:
        """The job has ended and its last mesh, if one is wanted, is here."""
        return self._told_all() and not self._wants_mesh()

    @property
    def mesh_seq(self) -> int:
        """Number of the newest mesh here, 0 without any."""
        return self.mesh.seq if self.mesh else 0

    def _told_all(self) -> bool:
        return self.info is not None and self.info.state in ENDED

    def _wants_mesh(self) -> bool:
        if self.frozen or self.info is None:
            return False
        ended = self.info.state in ENDED
        if not ended and (not self.live or time.monotonic() < self._mesh_at + self.interval_s):
            return False
        if self._is_reduced_final():
            return True
        return not ended or self.info.mesh_seq > self.mesh_seq

    def _is_reduced_final(self) -> bool:
        return self.mesh is not None and self.mesh.kind == "final" and len(self.mesh.faces) < self.mesh.triangles_full

    def _mesh_question(self) -> NextMesh:
        have = self.mesh_seq
        if self._is_reduced_final():
            return NextMesh(self.job, after=have - 1, max_triangles=0, wait_s=0.0)
        ended = self.info.state in ENDED
        return NextMesh(
            self.job,
            after=have,
            max_triangles=0 if self.info.state == "finished" else self.max_triangles,
            wait_s=0.0 if ended else WAIT_S,
        )

    # -- on the network thread -------------------------------------------------------------------------------------

    def _got_info(self, future: Future) -> None:
        reply = self._reply_of(future)
        if isinstance(reply, JobInfo):
            self.tell(reply)
        self._asking_info = None

    def _got_mesh(self, future: Future) -> None:
        reply = self._reply_of(future)
        if isinstance(reply, MeshSnapshot):
            self.mesh, self._mesh_at = reply, time.monotonic()
        elif isinstance(reply, Nothing) and self._told_all():
            self._not_before = time.monotonic() + RETRY_S  # told of a mesh that is not there yet
        self._asking_mesh = None

    def _reply_of(self, future: Future) -> JobInfo | MeshSnapshot | Nothing | None:
        error = future.exception()
        if error is None:
            self.problem = None
            return future.result()
        if not isinstance(error, (BackendDied, NoBackend)):  # those are told by the connection's own state
            self.problem = error if isinstance(error, Problem) else Problem(f"{type(error).__name__}: {error}")
        self._not_before = time.monotonic() + RETRY_S
        if isinstance(error, Refused) and error.code == "unknown_job":
            self.gone, self._not_before = True, float("inf")
        return None
