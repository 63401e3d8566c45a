# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of a job to files on this computer, on a thread of its own. What is there already is not fetched again."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from ..protocol.messages import GetFile
from .client import Client
from .problems import Problem

TIMEOUT_S = 60.0


class Download:
    """Files on their way.

    Attributes, written by its thread:
        fetched: files that are here; total: files in all.
        problem: why it failed, or None.
    """

    def __init__(self, client: Client, job: str, files: Mapping[str, Path]):
        self.client, self.job, self.files = client, job, dict(files)
        self.fetched, self.total = 0, len(self.files)
        self.problem: Problem | None = None
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="milo download", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    @property
    def complete(self) -> bool:
        return self.done and self.fetched == self.total

    def cancel(self) -> None:
        self._cancelled.set()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            for path, target in self.files.items():
                if not target.is_file():
                    self._fetch(path, target)
                if self._cancelled.is_set():  # the last file may be cut off: nothing is complete then
                    return
                self.fetched += 1
        except Problem as problem:
            self.problem = problem
        except OSError as error:
            self.problem = Problem(
                f"{error.filename or 'A file'} cannot be written: {error.strerror}.", "Free space, or choose another "
                "work folder in the preferences."
            )
        except Exception as error:  # a defect: say so in the panel, and keep the traceback for the console
            self.problem = Problem(f"{type(error).__name__}: {error}", "This is a defect: please report it.")
            raise

    def _fetch(self, path: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        with part.open("wb") as file:
            size = 1
            while file.tell() < size:
                if self._cancelled.is_set():
                    return
                chunk = self.client.request(GetFile(self.job, path, file.tell()), TIMEOUT_S).result()
                if not len(chunk.data) and chunk.size > file.tell():
                    raise Problem(f"{path} ends too early at the backend.", "Try again.")
                size = chunk.size
                file.write(chunk.data)
        part.replace(target)
