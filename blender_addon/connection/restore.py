# SPDX-License-Identifier: GPL-3.0-or-later
"""Stored splats back to a backend that has them no more. On a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ..protocol.messages import JobInfo, SceneFile
from ..protocol.stored import RestoreJob
from .client import Client
from .errand import Errand
from .upload import blob_of, send_blobs

RESTORE_S = 600.0  # an SPZ is unpacked there


class Restore(Errand):
    """Splats on their way.

    Attributes, written by its thread:
        fraction: of the bytes at the backend.
        result: the JobInfo of the job that is there again, or None; problem: why it failed, or None.
    """

    def __init__(self, client: Client, job: str, name: str, read: Callable[[], Mapping[str, Path | bytes]]):
        """read: gives the files by their names, on the thread."""
        self.client, self.job, self.name, self.read = client, job, name, read
        super().__init__("restore", self._restore)

    def _restore(self) -> JobInfo:
        blobs = {name: blob_of(source, self.cancelled) for name, source in self.read().items()}
        send_blobs(self.client, blobs.values(), self._progress, self.cancelled)
        files = tuple(SceneFile(name, blob.hash, blob.size) for name, blob in blobs.items())
        return self.client.request(RestoreJob(self.job, self.name, files), RESTORE_S).result()

    def _progress(self, there: int, total: int) -> None:
        self.fraction = there / total if total else 1.0
