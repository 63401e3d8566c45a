# SPDX-License-Identifier: Apache-2.0
"""Files that are there completely or not at all, and a lock that dies with its process."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import IO, Any

from milo.protocol import ProtocolError

_FULL = {errno.ENOSPC, errno.EDQUOT}


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file under a temporary name, flush it to the disk, rename it. A crash leaves the old file or the new."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path, value: Any, mode: int = 0o644) -> None:
    write_atomic(path, json.dumps(value, indent=1, allow_nan=False).encode(), mode)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last over a power cut, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def link(source: Path, target: Path) -> None:
    """Let `target` be the same file as `source`, or a copy where links cannot be; its folder is made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:     # another file system, or one without links
        shutil.copyfile(source, target)


def is_full(error: BaseException | None) -> bool:
    """Does this error say that the disk is full?"""
    return isinstance(error, OSError) and error.errno in _FULL


def no_space(folder: Path, needed: int | None = None) -> ProtocolError:
    """The refusal of a full disk."""
    amount = "" if needed is None else f" {needed / 2**20:.0f} MB are needed."
    return ProtocolError("no_space", f"The backend's disk is full ({folder}).{amount}",
                         "Delete old jobs or free space on the backend, then start again: what was sent stays there.")


def lock(path: Path) -> IO[bytes] | None:
    """Hold a file for this process alone until it is closed or the process ends; None if another one holds it."""
    file = open(path, "ab")   # noqa: SIM115 (held open on purpose)
    try:
        if os.name == "nt":
            import msvcrt
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def tail(path: Path, lines: int, longest: int = 300_000) -> str:
    """The last lines of a text file, at most `longest` bytes of it; "" if it is not there."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - longest))
            text = file.read(longest).decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
