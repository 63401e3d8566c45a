# SPDX-License-Identifier: Apache-2.0
"""Answers the requests of clients. Runs on the server's loop, where nothing may take long: what touches many or large
files goes to the file thread, levels of detail to a process, and the answer follows when it is there."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from milo.protocol import PROTOCOL_VERSION, ProtocolError, pack
from milo.protocol import messages as m
from milo.protocol import photos as p
from milo.protocol.limits import MAX_LOG
from milo.protocol.outlook import EstimateJob
from milo.protocol.pairing import OpenPairing, Pair
from milo.protocol.stored import RestoreJob, SplatFiles

from . import lod, snapshots
from .children import Children
from .files import is_full, no_space, tail
from .forecasts import estimate
from .jobs import Jobs
from .mesh_files import lod_path
from .pairing import Pairing
from .peer import Peer
from .photo_results import read_alignment, read_photo_report
from .polls import Poll, Polls
from .renderers import Renderers
from .stored_splats import files_of, take_back
from .workspace import Workspace

log = logging.getLogger(__name__)

LOD_PATIENCE_S = 120.0
PROBING = "probing"


class Desk:
    """One method for each request; what it returns is the answer, None if that comes later.

    post: runs a function on the loop. send(client, frames): to the wire. stop: ends the server.
    """

    def __init__(self, workspace: Workspace, jobs: Jobs, renderers: Renderers, version: str, build: str,
                 pairing: Pairing, post: Callable[[Callable[[], None]], None], send: Callable[[bytes, list], None],
                 stop: Callable[[], None]):
        self.workspace, self.jobs, self.renderers, self.pairing = workspace, jobs, renderers, pairing
        self.version, self.build, self.post, self.send, self.stop = version, build, post, send, stop
        self.device, self.capabilities, self.memory = PROBING, (), {}
        self.polls = Polls()
        self._files = ThreadPoolExecutor(1, thread_name_prefix="files")
        self._helpers = ThreadPoolExecutor(1, thread_name_prefix="helpers")
        self._children = Children()     # of the helpers
        self._restoring: set[str] = set()
        self._answers = {
            m.Hello: self.hello, m.HaveBlobs: self.have_blobs, m.PutBlob: self.put_blob, m.StartJob: self.start_job,
            m.ListJobs: lambda peer, _: m.Jobs(self.jobs.infos()),
            m.GetJob: lambda peer, question: self.jobs.get(question.job),
            m.PauseJob: lambda peer, question: self.jobs.pause(question.job),
            m.ResumeJob: lambda peer, question: self.jobs.resume(question.job),
            m.CancelJob: lambda peer, question: self.jobs.cancel(question.job),
            m.DeleteJob: lambda peer, question: self.jobs.delete(question.job),
            m.WatchJob: self.park, m.NextMesh: self.park, m.RenderSplats: self.render,
            m.NextPreview: self.next_preview,
            p.GetPhotoReport: self.photo_report, p.GetAlignment: self.alignment,
            m.ListFiles: self.list_files, m.GetFile: self.get_file, m.TailLog: self.tail_log,
            m.StopServer: self.stop_server,
            EstimateJob: self.estimate, SplatFiles: self.splat_files, RestoreJob: self.restore_job,
            OpenPairing: lambda peer, question: self.pairing.open(question.address),
            Pair: lambda peer, question: self.pairing.admit(peer.key, question),
        }

    def answer(self, peer: Peer, question: Any) -> None:
        """Answer a request, now or later; a failure is an answer too."""
        self._reply_with(peer, lambda: self._answer(peer, question))

    def _answer(self, peer: Peer, question: Any) -> Any:
        self.pairing.check(peer.key, question)
        if type(question) not in self._answers:
            raise ProtocolError("bad_message", f"{type(question).__name__} is an answer, not a request.")
        return self._answers[type(question)](peer, question)

    def reply(self, peer: Peer, message: Any) -> None:
        self.send(peer.client, pack(message, peer.request_id))

    # ------------------------------------------------------------- handshake

    def hello(self, peer: Peer, question: m.Hello) -> m.Welcome:
        if question.protocol != PROTOCOL_VERSION:
            older = "extension" if question.protocol < PROTOCOL_VERSION else "backend"
            raise ProtocolError(
                "version_mismatch",
                f"{question.client} {question.version} speaks version {question.protocol} of the protocol, "
                f"this backend (MILo {self.version}) speaks version {PROTOCOL_VERSION}.",
                f"Update the {older}: both must come from the same release.")
        return m.Welcome(PROTOCOL_VERSION, self.version, self.build, self.device, self.capabilities,
                         str(self.workspace.jobs))

    def stop_server(self, peer: Peer, question: m.StopServer) -> m.Ok:
        self.stop()
        return m.Ok()

    # ----------------------------------------------------------------- files

    def have_blobs(self, peer: Peer, question: m.HaveBlobs) -> None:
        self._later(peer, lambda: m.NeedsBlobs(*self.workspace.blobs.have(question.hashes)))

    def put_blob(self, peer: Peer, question: m.PutBlob) -> None:
        def put():
            there = self.workspace.blobs.put(question.hash, question.size, question.offset, question.data)
            return m.BlobStored(question.hash, *there)
        self._later(peer, put)

    def list_files(self, peer: Peer, question: m.ListFiles) -> None:
        self.jobs.get(question.job)
        self._later(peer, lambda: m.Files(self.workspace.files(question.job)))

    def get_file(self, peer: Peer, question: m.GetFile) -> None:
        self.jobs.get(question.job)

        def read():
            path = self.workspace.result(question.job, question.path)
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(question.offset)
                data = np.frombuffer(file.read(question.length), np.uint8)
            return m.FileChunk(question.job, question.path, question.offset, size, data)
        self._later(peer, read)

    def photo_report(self, peer: Peer, question: p.GetPhotoReport) -> None:
        self.jobs.get(question.job)
        self._later(peer, lambda: read_photo_report(self.workspace.jobs / question.job, question.job))

    def alignment(self, peer: Peer, question: p.GetAlignment) -> None:
        self.jobs.get(question.job)
        self._later(peer, lambda: read_alignment(self.workspace.jobs / question.job, question.job))

    def tail_log(self, peer: Peer, question: m.TailLog) -> None:
        path = self.workspace.home / "server.log"
        if question.job:
            self.jobs.get(question.job)
            path = self.workspace.jobs / question.job / "worker.log"
        self._later(peer, lambda: m.Log(tail(path, question.lines)[-MAX_LOG:]))

    # ------------------------------------------------------------------ jobs

    def start_job(self, peer: Peer, question: m.StartJob) -> None:
        if self.jobs.stopping:
            raise ProtocolError("not_ready", "The backend is about to end.", "Start it again.")
        if isinstance(question.scene, m.SceneOfJob) and self.jobs.get(question.scene.job).state != "finished":
            raise ProtocolError("not_ready", "This reconstruction is not finished.", "Wait for its end, or resume it.")

        def enter(job: str):
            self._reply_with(peer, lambda: self.jobs.start(job, question.name, question.task))
        self._in_files_thread(peer, lambda: self.workspace.new_job(question), enter)

    def restore_job(self, peer: Peer, question: RestoreJob) -> m.JobInfo | None:
        if question.job in self.jobs.ids():
            return self.jobs.get(question.job)
        if question.job in self.jobs.deleted or question.job in self._restoring:
            raise ProtocolError("not_ready", "The backend is busy with this job.", "Try again in a moment.")
        self._restoring.add(question.job)

        def work():
            try:
                take_back(self.workspace.jobs, self.workspace.blobs, question, self._children)
            except BaseException:
                shutil.rmtree(self.workspace.jobs / question.job, ignore_errors=True)
                self.post(lambda: self._restoring.discard(question.job))
                raise
            self.post(lambda: self._reply_with(peer, enter))

        def enter() -> m.JobInfo:     # in one go: between two, somebody could begin to restore it again
            self._restoring.discard(question.job)
            return self.jobs.start(question.job, question.name, "reconstruct", "finished")
        self._later(peer, work, self._helpers)

    def splat_files(self, peer: Peer, question: SplatFiles) -> None:
        self.jobs.get(question.job)
        self._later(peer, lambda: m.Files(files_of(self.workspace.jobs / question.job, question.format,
                                                   self._children)), self._helpers)

    def estimate(self, peer: Peer, question: EstimateJob) -> None:
        if self.device == PROBING:
            raise ProtocolError("not_ready", "The backend is still finding out about its device.", "Ask again soon.")
        kind = "cuda" if "cuda" in self.capabilities and self.jobs.devices[0] != "cpu" else "cpu"
        self._later(peer, lambda: estimate(self.workspace.home, question, kind, self.memory.get(kind)))

    def render(self, peer: Peer, question: m.RenderSplats) -> None:
        for job in (question.job, *question.others):
            self.jobs.get(job)
        self.renderers.ask(peer, question)

    def park(self, peer: Peer, question: m.WatchJob | m.NextMesh) -> None:
        self.jobs.get(question.job)
        for poll in self.polls.park(peer, question):
            self.reply(poll.peer, m.Nothing())
        self.job_changed(question.job)

    def job_changed(self, job: str) -> None:
        """Answer those who wait for news of a job."""
        for poll in self.polls.about(job):
            try:
                info = self.jobs.get(job)
            except ProtocolError as error:
                self._reply_once(poll, m.Error(error.code, error.message, error.hint))
                continue
            if isinstance(poll.question, m.WatchJob):
                if info.revision > poll.question.after:
                    self._reply_once(poll, info)
            elif info.mesh_seq > poll.question.after and self.polls.take(poll):
                self._give_mesh(poll.peer, poll.question)

    def remove_deleted(self) -> None:
        """Remove the folders of jobs that were deleted."""
        for job in list(self.jobs.deleted):
            self.renderers.close(job)
            others = self.jobs.ids()

            def remove(job=job, others=others):
                self.workspace.remove_job(job, others)
                self.post(lambda: self.jobs.forget(job))
            self._files.submit(remove)

    def expire(self) -> None:
        for poll in self.polls.expired():
            self._reply_once(poll, m.Nothing())

    # ---------------------------------------------------------------- meshes

    def _give_mesh(self, peer: Peer, question: m.NextMesh, tries: int = 3, reduced: int = 0) -> None:
        """Read the newest mesh and send it. It may be gone again by the time it is read: then there is a newer one.

        reduced: the mesh whose level of detail was just made; a newer one would only be too large again.
        """
        try:
            seq = reduced or self.jobs.get(question.job).mesh_seq
        except ProtocolError as error:
            return self.reply(peer, m.Error(error.code, error.message, error.hint))
        folder = self.workspace.jobs / question.job / "snapshots"

        def read():
            try:
                snapshot = snapshots.read_snapshot(folder, seq, question.max_triangles)
            except (OSError, ValueError) as error:
                if tries == 1:
                    log.warning("mesh %s of job %s: %s", seq, question.job, error)
                    return m.Nothing()
                self.post(lambda: self._give_mesh(peer, question, tries - 1))
                return None
            if snapshot is None:
                self._helpers.submit(reduce)
                return None
            mesh = snapshot.mesh
            return m.MeshSnapshot(question.job, seq, snapshot.kind, snapshot.iteration, snapshot.triangles, mesh.verts,
                                  mesh.faces, mesh.colors)

        def reduce():
            self._make_lod(snapshots.path(folder, seq), question.max_triangles)
            self.post(lambda: self._give_mesh(peer, question, tries - 1, seq) if tries > 1
                      else self.reply(peer, m.Nothing()))
        self._later(peer, read)

    def next_preview(self, peer: Peer, question: m.NextPreview) -> None:
        self.jobs.get(question.job)

        def read():
            found = snapshots.read_pair(self.workspace.jobs / question.job / "snapshots", question.after)
            if found is None:
                return m.Nothing()
            seq, iteration, (rendering, photo) = found
            return m.Preview(question.job, seq, iteration, rendering, photo)
        self._later(peer, read)

    def _make_lod(self, snapshot, max_triangles: int) -> None:
        if lod_path(snapshot, max_triangles).is_dir():
            return
        try:
            done = self._children.run(lod.command(snapshot, max_triangles), LOD_PATIENCE_S)
        except (OSError, subprocess.TimeoutExpired, ProtocolError) as error:
            log.error("level of detail: %s", error)
            return
        if done.returncode and snapshot.is_dir():
            log.error("level of detail: %s", done.stderr.decode(errors="replace")[-1000:])

    # -------------------------------------------------------------- plumbing

    def _reply_once(self, poll: Poll, message: Any) -> None:
        if self.polls.take(poll):
            self.reply(poll.peer, message)

    def _reply_with(self, peer: Peer, make: Callable[[], Any]) -> None:
        frames = _frames_of(make, peer.request_id, self.workspace)
        if frames is not None:
            self.send(peer.client, frames)

    def _later(self, peer: Peer, make: Callable[[], Any], thread: ThreadPoolExecutor | None = None) -> None:
        """Make an answer on the file thread, in the order of the questions, or on another."""
        def work():
            frames = _frames_of(make, peer.request_id, self.workspace)
            if frames is not None:
                self.post(lambda: self.send(peer.client, frames))
        (thread or self._files).submit(work)

    def _in_files_thread(self, peer: Peer, make: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do something on the file thread and go on with its result on the loop; a failure is the answer."""
        def chain():
            result = make()
            self.post(lambda: then(result))
        self._later(peer, chain)

    def close(self) -> None:
        """Finish what the file thread has begun, and break off what the helpers do."""
        self._children.end()
        self._helpers.shutdown(wait=True, cancel_futures=True)
        self._files.shutdown(wait=True, cancel_futures=True)


def _frames_of(make: Callable[[], Any], request_id: int, workspace: Workspace) -> list | None:
    """The frames of an answer, of its refusal, or None if there is none yet."""
    try:
        message = make()
        return None if message is None else pack(message, request_id)
    except ProtocolError as error:
        refusal = error
    except Exception as error:
        if is_full(error):
            refusal = no_space(workspace.home)
        else:
            log.exception("a request failed")
            refusal = ProtocolError("internal", f"The backend failed: {type(error).__name__}: {str(error)[:300]}",
                                    "Its log says more.")
    return pack(m.Error(refusal.code, refusal.message[:2000], refusal.hint[:2000]), request_id)
