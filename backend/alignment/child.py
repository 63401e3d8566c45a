# SPDX-License-Identifier: Apache-2.0
"""Runs the solver's process and ends it at once when nobody wants its work any more."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

from .events import AlignProgress
from .options import AlignError
from .work_folder import WorkFolder

LOOK_EVERY_S = 0.1       # for a wish to stop
END_PATIENCE_S = 1.0     # of a process asked to end, before it is killed


class Stopped(Exception):
    """The work was broken off because it was asked to be."""


def run_solver(command: str, folder: WorkFolder, should_stop: Callable[[], bool]) -> Iterator[AlignProgress]:
    """Run `solver.py command`; yields its progress as it is said.

    Raises:
        Stopped: should_stop() turned true; the process is gone within a second or so.
        AlignError: the process failed; the message is its last line.
    """
    arguments = [sys.executable, "-m", "milo.backend.alignment.solver", command, str(folder.path)]
    group = {} if os.name == "nt" else {"start_new_session": True}     # the terminal's Ctrl-C is the parent's business
    with open(folder.log, "ab") as log:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, **group)
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    try:
        while True:
            if should_stop():
                raise Stopped
            try:
                line = lines.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                continue
            if line is None:
                break
            word = json.loads(line)
            yield AlignProgress(word["stage"], word["done"], word["total"])
        if process.wait() != 0:
            raise AlignError("alignment", f"COLMAP ended without a result ({_last_line(folder)})",
                             f"Its log is {folder.log}")
    finally:
        _end(process)


def _read(process: subprocess.Popen, lines: queue.SimpleQueue) -> None:
    for line in process.stdout:
        if line.startswith(b"{"):
            lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_line(folder: WorkFolder) -> str:
    try:
        lines = folder.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1][-300:] if lines else "it said nothing"
