# SPDX-License-Identifier: Apache-2.0
"""Files by their content: uploads in pieces that can stop at any byte and go on later.

blobs/ab/abcd...      complete, named by the sha256 of its content, never changed
blobs/partial/abcd... what has come of it so far
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from milo.protocol import ProtocolError

from .files import is_full, link, no_space, sync_folder

RESERVE_BYTES = 64 << 20      # left free for state and logs
_DAY_S = 86_400.0


class Blobs:
    """Used by one thread at a time."""

    def __init__(self, root: Path):
        self.root = root
        self.partial = root / "partial"
        self.partial.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        return self.root / digest[:2] / digest

    def size(self, digest: str) -> int | None:
        """Bytes of a complete blob, None if it is not there."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def received(self, digest: str) -> int:
        """Bytes there of a blob that is not complete."""
        try:
            return (self.partial / digest).stat().st_size
        except FileNotFoundError:
            return 0

    def have(self, digests: Iterable[str]) -> tuple[list[str], dict[str, int]]:
        """(missing ones, bytes there of those begun). The others are kept for at least a day."""
        missing, received = [], {}
        for digest in dict.fromkeys(digests):
            if self.size(digest) is not None:
                os.utime(self.path(digest))
                continue
            missing.append(digest)
            if there := self.received(digest):
                received[digest] = there
        return missing, received

    def put(self, digest: str, size: int, offset: int, data) -> tuple[int, bool]:
        """Add a piece; (bytes there, complete). A piece that does not continue what is there is not taken.

        Raises ProtocolError: no_space (nothing of the piece is kept), bad_request (the content is not what its hash
        says; the upload starts over).
        """
        if self.size(digest) is not None:
            return size, True
        partial, there = self.partial / digest, self.received(digest)
        if there > size:     # another size was declared before; the hash will judge
            partial.unlink()
            there = 0
        if offset != there:
            return there, False
        if there == 0 and shutil.disk_usage(self.root).free < size + RESERVE_BYTES:
            raise no_space(self.root, size)
        try:
            append(partial, data)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(partial, there)
            raise no_space(self.root, size - there) if is_full(error) else error from None
        there += len(data)
        if there == size:
            self._complete(digest, partial)
        return there, there == size

    def adopt(self, file: Path) -> str:
        """Make a file that came about here a blob too, by a hard link, or a copy where links cannot be; its digest."""
        with open(file, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if self.size(digest) is None:
            temporary, final = self.partial / f"{digest}.{os.getpid()}", self.path(digest)
            link(file, temporary)
            final.parent.mkdir(exist_ok=True)
            os.replace(temporary, final)
            sync_folder(final.parent)
        return digest

    def _complete(self, digest: str, partial: Path) -> None:
        with open(partial, "rb+") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                file.close()
                partial.unlink()
                raise ProtocolError("bad_request", f"A file arrived damaged: its content is not {digest[:12]}...",
                                    "Send it again.")
            os.fsync(file.fileno())
        final = self.path(digest)
        final.parent.mkdir(exist_ok=True)
        os.chmod(partial, 0o444)
        os.replace(partial, final)
        sync_folder(final.parent)

    def sweep(self, keep: set[str], older_than_s: float = _DAY_S) -> None:
        """Remove what no job uses and nobody asked for lately, and uploads that were given up."""
        limit = time.time() - older_than_s
        for path in self.root.glob("*/*"):
            with contextlib.suppress(OSError):
                if path.name not in keep and path.stat().st_mtime < limit:
                    path.unlink()


def append(path: Path, data) -> None:
    """Add bytes to the end of a file."""
    with open(path, "ab") as file:
        file.write(data)
