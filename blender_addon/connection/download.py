# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of a job to files on this computer, on a thread of its own. What is there already is not fetched again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..protocol.messages import GetFile
from .client import Client
from .errand import Errand
from .problems import Cancelled, Problem

TIMEOUT_S = 60.0


class Download(Errand):
    """Files on their way.

    Attributes, written by its thread:
        fraction: of the files that are here.
        result: what was read of them; problem: why it failed, or None.
    """

    def __init__(self, client: Client, job: str, files: Mapping[str, Path], read: Callable[[], Any] | None = None):
        """read: what to do with the files once all of them are here, on the same thread."""
        self.client, self.job, self.files = client, job, dict(files)
        self.read = read
        super().__init__("download", self._download)

    def _download(self) -> Any:
        try:
            for number, (path, target) in enumerate(self.files.items(), 1):
                if not target.is_file():
                    self._fetch(path, target)
                if self.cancelled.is_set():
                    raise Cancelled
                self.fraction = number / len(self.files)
        except OSError as error:
            raise Problem(
                f"{error.filename or 'A file'} cannot be written: {error.strerror}.", "Free space, or choose another "
                "work folder in the preferences."
            ) from error
        return self.read() if self.read else None

    def _fetch(self, path: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        with part.open("wb") as file:
            size = 1
            while file.tell() < size:
                if self.cancelled.is_set():
                    raise Cancelled
                chunk = self.client.request(GetFile(self.job, path, file.tell()), TIMEOUT_S).result()
                if not len(chunk.data) and chunk.size > file.tell():
                    raise Problem(f"{path} ends too early at the backend.", "Try again.")
                size = chunk.size
                file.write(chunk.data)
        part.replace(target)
