# SPDX-License-Identifier: Apache-2.0
"""Where workers run: an interface of two small classes, and local processes as its one implementation so far."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from . import words
from .worker import RUNNER

LOG_BYTES = 4 << 20


class Worker(Protocol):
    """A running worker."""

    def ask_to_stop(self) -> None:
        """Save a checkpoint and end."""

    def terminate(self) -> None:
        """End now; what was saved stays."""

    def kill(self) -> None:
        """End without asking."""

    def limit_log(self) -> None:
        """Keep its log from filling the disk."""


class Launcher(Protocol):
    """Starts workers. The two callbacks come from any thread: words in order, then the end once."""

    def start(self, folder: Path, device: str, on_word: Callable[[words.Word], None],
              on_end: Callable[[int], None]) -> Worker: ...


class LocalLauncher:
    """Workers as processes of this machine.

    runner: "module:function" that replaces the reconstruction (worker.py).
    """

    def __init__(self, blobs: Path, runner: str = RUNNER):
        self.blobs, self.runner = blobs, runner

    def start(self, folder, device, on_word, on_end) -> LocalWorker:
        command = [sys.executable, "-m", "milo.backend.service.worker", str(folder), "--blobs", str(self.blobs),
                   "--device", device, "--runner", self.runner]
        return LocalWorker(command, folder / "worker.log", on_word, on_end)


class LocalWorker:
    """A process in a group of its own, its words read by one thread and its end awaited by another."""

    def __init__(self, command: list[str], log: Path, on_word, on_end):
        self.log = log
        with open(log, "ab") as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                                            **new_group())
        reader = threading.Thread(target=self._read, args=(on_word,), daemon=True)
        reader.start()
        threading.Thread(target=self._wait, args=(reader, on_end), daemon=True).start()

    def ask_to_stop(self) -> None:
        with contextlib.suppress(OSError, ValueError):     # it has ended meanwhile
            self.process.stdin.write(b"stop\n")
            self.process.stdin.flush()

    def terminate(self) -> None:
        signal_group(self.process, signal.SIGTERM)

    def kill(self) -> None:
        signal_group(self.process, getattr(signal, "SIGKILL", signal.SIGTERM))

    def limit_log(self) -> None:
        """Copy and truncate: the worker appends to the same open file, so it cannot be renamed away."""
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > LOG_BYTES:
                kept = self.log.read_bytes()[-LOG_BYTES // 4:]
                self.log.with_suffix(".log.1").write_bytes(kept)
                os.truncate(self.log, 0)

    def _read(self, on_word) -> None:
        pipe = self.process.stdout
        while line := pipe.readline(words.MAX_LINE):
            if (word := words.parse(line)) is not None:
                on_word(word)

    def _wait(self, reader: threading.Thread, on_end) -> None:
        status = self.process.wait()
        signal_group(self.process, getattr(signal, "SIGKILL", signal.SIGTERM), ended=True)   # whatever it left running
        reader.join(1.0)
        self.process.stdin.close()
        on_end(status)


def new_group() -> dict:
    """Arguments of Popen for a process whose children end with it, out of reach of the terminal's Ctrl-C."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def signal_group(process: subprocess.Popen, number: int, ended: bool = False) -> None:
    """Send a signal to a process made with new_group() and to all its children."""
    with contextlib.suppress(OSError):
        if os.name != "nt":
            os.killpg(process.pid, number)
        elif not ended:
            process.terminate()
