# SPDX-License-Identifier: GPL-3.0-or-later
"""Stored splats back to a backend that has them no more. On a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from ..protocol import ProtocolError
from ..protocol.messages import JobInfo, SceneFile
from ..protocol.stored import RestoreJob
from .client import Client
from .problems import Problem
from .upload import Cancelled, blob_of, send_blobs

RESTORE_S = 600.0  # an SPZ is unpacked there


class Restore:
    """Splats on their way.

    Attributes, written by its thread:
        fraction: of the bytes at the backend, 0..1.
        info: the job that is there again, or None.
        problem: why it failed, or None. Neither info nor problem at the end: cancelled.
    """

    def __init__(self, client: Client, job: str, name: str, files: Mapping[str, Path | bytes]):
        self.client, self.job, self.name, self.files = client, job, name, dict(files)
        self.fraction = 0.0
        self.info: JobInfo | None = None
        self.problem: Problem | None = None
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="milo restore", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def cancel(self) -> None:
        self._cancelled.set()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            blobs = {name: blob_of(source, self._cancelled) for name, source in self.files.items()}
            send_blobs(self.client, blobs.values(), self._progress, self._cancelled)
            files = tuple(SceneFile(name, blob.hash, blob.size) for name, blob in blobs.items())
            self.info = self.client.request(RestoreJob(self.job, self.name, files), RESTORE_S).result()
        except Cancelled:
            pass
        except Problem as problem:
            self.problem = problem
        except ProtocolError as error:
            self.problem = Problem(error.message, error.hint)
        except Exception as error:  # a defect: say so in the panel, and keep the traceback for the console
            self.problem = Problem(f"{type(error).__name__}: {error}", "This is a defect: please report it.")
            raise

    def _progress(self, there: int, total: int) -> None:
        self.fraction = there / total if total else 1.0
