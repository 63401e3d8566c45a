# SPDX-License-Identifier: Apache-2.0
"""Everything the service keeps on disk, below one folder (MILO_HOME, ~/.milo by default):

connection.json   where a server listens and how to be let in (keys.py); only its owner can read it
keys/             key pairs of the server and of the local client
blobs/            files that clients sent, by content (blobs.py)
jobs/<id>/        one folder for each job (job_folder.py)
state.sqlite      the jobs' states (store.py)
server.log        rotated at 1 MB
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from pathlib import Path

from milo.protocol import ProtocolError
from milo.protocol.messages import File, StartJob

from .blobs import Blobs
from .files import is_full, lock, no_space
from .job_folder import hashes_of, kept_hashes, read_request, write_request


def default_home() -> Path:
    """$MILO_HOME, or ~/.milo."""
    return Path(os.environ.get("MILO_HOME") or Path.home() / ".milo")


class Workspace:
    """The folders of one server. Slow work with files goes through one thread, in order."""

    def __init__(self, home: Path):
        self.home = home.absolute()
        self.home.mkdir(parents=True, exist_ok=True)
        self._lock = lock(self.home / "server.lock")
        if self._lock is None:
            raise ProtocolError("not_ready", f"Another server already uses {self.home}.",
                                "End it, or give another folder with --home.")
        self.jobs = self.home / "jobs"
        self.jobs.mkdir(exist_ok=True)
        self.blobs = Blobs(self.home / "blobs")

    def new_job(self, request: StartJob) -> str:
        """Make the folder of a job and give its id; ids sort by time.

        Raises ProtocolError: not_ready if blobs are missing, bad_request if a size is wrong, no_space.
        """
        missing, _ = self.blobs.have(hashes_of(request))
        if missing:
            raise ProtocolError("not_ready", f"{len(missing)} files of this scene have not been sent.",
                                "Send them first.")
        for digest, size in hashes_of(request).items():
            there = self.blobs.size(digest)
            if size is not None and size != there:
                raise ProtocolError("bad_request", f"A file is declared with {size} bytes but has {there}.")
        job = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
        try:
            write_request(self.jobs / job, request)
        except OSError as error:
            shutil.rmtree(self.jobs / job, ignore_errors=True)
            raise no_space(self.jobs) if is_full(error) else error from None
        return job

    def remove_job(self, job: str, others: list[str]) -> None:
        """Remove a job's folder, and blobs that only it used."""
        shutil.rmtree(self.jobs / job, ignore_errors=True)
        keep: set[str] = set()
        for other in others:
            try:
                keep |= set(hashes_of(read_request(self.jobs / other))) | kept_hashes(self.jobs / other)
            except ProtocolError:
                return      # cannot tell what that one needs: keep everything
        self.blobs.sweep(keep)

    def remove_unstarted(self, known: set[str]) -> None:
        """Remove folders of requests that a crash kept from becoming a job."""
        for folder in self.jobs.iterdir():
            if folder.name not in known and not (folder / "run").exists():
                shutil.rmtree(folder, ignore_errors=True)

    def files(self, job: str) -> tuple[File, ...]:
        """The results of a job: all of run/ but its checkpoints, and preview.png."""
        folder = self.jobs / job
        paths = [path for path in sorted((folder / "run").rglob("*"))
                 if path.relative_to(folder / "run").parts[0] not in ("checkpoints", ".align")]
        found = []
        for path in [*paths, folder / "preview.png"]:
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                with contextlib.suppress(OSError):
                    found.append(File(path.relative_to(folder).as_posix(), path.stat().st_size))
        return tuple(found)

    def result(self, job: str, path: str) -> Path:
        """The file behind a path that `files` could have given.

        Raises ProtocolError bad_request for anything else.
        """
        folder = self.jobs / job
        file = folder / path
        inside = file.resolve().is_relative_to((folder / "run").resolve()) or path == "preview.png"
        if not (path.startswith("run/") or path == "preview.png") or not inside or not file.is_file():
            raise ProtocolError("bad_request", f"This job has no result {path[:100]!r}.", "Ask for its list of files.")
        return file

    def close(self) -> None:
        self._lock.close()
