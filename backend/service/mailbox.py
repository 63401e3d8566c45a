# SPDX-License-Identifier: Apache-2.0
"""How other threads bring things to the server's loop: a queue, and a socket that wakes the loop up."""

from __future__ import annotations

import contextlib
import queue
import socket
from collections.abc import Callable


class Mailbox:
    """Functions posted from any thread; the loop calls them on its own."""

    def __init__(self):
        self._queue: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)

    def fileno(self) -> int:
        """What the loop polls."""
        return self._receiver.fileno()

    def post(self, call: Callable[[], None]) -> None:
        self._queue.put(call)
        with contextlib.suppress(OSError):     # full: it will wake up anyway; closed: nobody is there any more
            self._sender.send(b"!")

    def take(self) -> list[Callable[[], None]]:
        with contextlib.suppress(BlockingIOError):
            while self._receiver.recv(4096):
                pass
        calls = []
        with contextlib.suppress(queue.Empty):
            while True:
                calls.append(self._queue.get_nowait())
        return calls

    def close(self) -> None:
        self._receiver.close()
        self._sender.close()
