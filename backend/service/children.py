# SPDX-License-Identifier: Apache-2.0
"""Processes that a thread of the server waits for, and that must not hold its end up."""

from __future__ import annotations

import signal
import subprocess
import threading

from milo.protocol import ProtocolError

from .launcher import new_group, signal_group


class Children:
    """Runs commands, from any thread, until `end`."""

    def __init__(self):
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen] = set()
        self._ended = False

    def run(self, command: list[str], patience_s: float) -> subprocess.CompletedProcess:
        """As subprocess.run, with its output captured.

        Raises:
            subprocess.TimeoutExpired: it took longer, and was killed.
            ProtocolError: not_ready, the server is ending, and the process was killed or not begun.
        """
        with self._lock:
            self._refuse_at_end()
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     **new_group())
            self._running.add(child)
        try:
            said, errors = child.communicate(timeout=patience_s)
        finally:
            with self._lock:
                self._running.discard(child)
            if child.returncode is None:
                _kill(child)
                child.communicate()
        self._refuse_at_end()
        return subprocess.CompletedProcess(command, child.returncode, said, errors)

    def end(self) -> None:
        """Kill what runs; nothing is begun any more."""
        with self._lock:
            self._ended = True
            for child in self._running:
                _kill(child)

    def _refuse_at_end(self) -> None:
        if self._ended:
            raise ProtocolError("not_ready", "The backend is about to end.", "Start it again.")


def _kill(child: subprocess.Popen) -> None:
    signal_group(child, getattr(signal, "SIGKILL", signal.SIGTERM))
