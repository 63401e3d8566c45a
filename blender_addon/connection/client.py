# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a backend: one network thread owns the socket, everybody else gets futures.

    client = Client(endpoint, version="1.2.3")
    info = client.request(GetJob(job)).result()      # in a worker thread; the main thread looks at done()

The thread says hello whenever the encrypted connection comes up, sends waiting requests once the backend has welcomed
us, and fails everything under way when the connection goes down. libzmq connects again by itself; nothing else has to
be put right, because each request stands for itself.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import socket
import threading
import time
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from ..protocol import PROTOCOL_VERSION, ProtocolError, pack, unpack
from ..protocol.limits import MAX_ARRAY_BYTES
from ..protocol.messages import Error, Hello, Welcome
from .endpoint import Endpoint
from .problems import BackendDied, NoBackend, Problem, Refused, TimedOut, VersionMismatch, WrongKey

HANDSHAKES_BEFORE_WRONG_KEY = 3  # one may fail because the backend ends just then
PROBING, PROBE_AGAIN_S = "probing", 1.0  # a backend that has just started does not know its device yet
HEARTBEAT_MS = 5_000
HEARTBEAT_TIMEOUT_MS = 30_000

CONNECTING, READY, LOST, REFUSED, CLOSED = "connecting", "ready", "lost", "refused", "closed"


@dataclass
class _Waiting:
    message: Any
    future: Future
    deadline: float


class Client:
    """A connection to one backend.

    Attributes, written by the network thread alone:
        state: "connecting", "ready", "lost" (was ready; libzmq keeps trying), "refused" (it will not get better by
            waiting: see `problem`) or "closed".
        problem: why the state is not "ready"; None while there is nothing to say.
        welcome: the backend's answer to hello, or None.
    """

    def __init__(self, endpoint: Endpoint, version: str):
        self.endpoint = endpoint
        self.version = version
        self.state = CONNECTING
        self.problem: Problem | None = None
        self.welcome: Welcome | None = None
        self._ids = itertools.count(1)
        self._outbox: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._unsent: list[_Waiting] = []
        self._asked: dict[int, _Waiting] = {}
        self._hello_id = 0
        self._failed_handshakes = 0
        self._hello_at = float("inf")
        self._stopping = False
        self._ended = False
        self._ending = threading.Lock()  # no request may slip in after the thread has failed the last one
        self._thread = threading.Thread(target=self._run, name="milo network", daemon=True)
        self._thread.start()

    def request(self, message: Any, timeout_s: float = 30.0) -> Future:
        """Send a message. The future gives the reply, or raises a Problem (Refused for the backend's own refusals).

        Callbacks of the future run on the network thread.
        """
        waiting = _Waiting(message, Future(), time.monotonic() + timeout_s)
        with self._ending:
            if self._ended:
                waiting.future.set_exception(self.problem or NoBackend("The connection is closed."))
            else:
                self._outbox.put(waiting)
        self._wake()
        return waiting.future

    def close(self, timeout_s: float = 5.0) -> None:
        """End the thread; requests under way fail."""
        self._stopping = True
        self._wake()
        self._thread.join(timeout_s)

    def _wake(self) -> None:
        try:
            self._wake_in.send(b"!")
        except BlockingIOError:
            pass  # the thread has enough to wake up from
        except OSError:
            if not self._ended:
                raise

    # -- network thread from here on ------------------------------------------------------------------------------

    def _run(self) -> None:
        context = zmq.Context()
        dealer = context.socket(zmq.DEALER)
        dealer.linger = 0
        dealer.curve_serverkey = self.endpoint.server_key.encode()
        dealer.curve_publickey = self.endpoint.client_public.encode()
        dealer.curve_secretkey = self.endpoint.client_secret.encode()
        dealer.setsockopt(zmq.RECONNECT_IVL, 100)
        dealer.setsockopt(zmq.RECONNECT_IVL_MAX, 2_000)
        dealer.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        dealer.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        dealer.setsockopt(zmq.MAXMSGSIZE, MAX_ARRAY_BYTES)
        monitor = dealer.get_monitor_socket()
        poller = zmq.Poller()
        for source in (dealer, monitor, self._wake_out):
            poller.register(source, zmq.POLLIN)
        try:
            dealer.connect(self.endpoint.address)
            while not self._stopping:
                ready = dict(poller.poll(self._next_deadline_ms()))
                if self._wake_out.fileno() in ready:
                    self._take_outbox()
                if dealer in ready:  # replies first: one may have come just before the connection went down
                    self._receive(dealer)
                if monitor in ready:
                    self._connection_event(dealer, recv_monitor_message(monitor)["event"])
                if self.state == READY:
                    self._send_waiting(dealer)
                    if time.monotonic() >= self._hello_at:
                        self._hello(dealer)
                self._expire()
        except Exception as error:  # a defect in here: the panel must show it, the futures must not hang
            self._give_up(Problem(f"The network thread ended: {type(error).__name__}: {error}.", "Start it again."))
            raise
        finally:
            with self._ending:
                self._ended = True
            self._take_outbox()
            self._fail_all(self.problem or NoBackend("The connection was closed.", "Start the backend."))
            if self.state != REFUSED:
                self.state = CLOSED
            dealer.disable_monitor()
            monitor.close(0)
            dealer.close(0)
            context.term()
            self._wake_in.close()
            self._wake_out.close()

    def _connection_event(self, dealer: zmq.Socket, event: int) -> None:
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._failed_handshakes = 0
            self._hello(dealer)
        elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self._give_up(
                WrongKey(
                    f"The backend at {self.endpoint.address} does not know this Blender's key.", self._new_keys()
                )
            )
        elif event in (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL):
            self._failed_handshakes += 1
            if self._failed_handshakes >= HANDSHAKES_BEFORE_WRONG_KEY:
                self._give_up(
                    WrongKey(
                        f"Whoever listens at {self.endpoint.address} is not the backend that was saved.",
                        self._new_keys(),
                    )
                )
        elif event == zmq.EVENT_DISCONNECTED and self.state == READY:
            self.state = LOST
            self.welcome = None
            self.problem = BackendDied("The connection to the backend was lost.", "Start the backend again.")
            self._fail_asked(self.problem)
        elif event == zmq.EVENT_CONNECT_RETRIED and self.state == CONNECTING and not self._failed_handshakes:
            self.problem = NoBackend(f"Nobody answers at {self.endpoint.address}.", "Start the backend.")

    def _new_keys(self) -> str:
        """What to do about keys that do not fit."""
        if self.endpoint.remote:
            return "Forget that backend, and pair with it again."
        return "Stop that backend and start it again from here, so that it writes a new connection file."

    def _hello(self, dealer: zmq.Socket) -> None:
        self._hello_id, self._hello_at = next(self._ids), float("inf")
        dealer.send_multipart(pack(Hello(client="blender", version=self.version), self._hello_id))

    def _receive(self, dealer: zmq.Socket) -> None:
        frames = [frame.buffer for frame in dealer.recv_multipart(copy=False)]
        try:
            request_id, message = unpack(frames)
        except ProtocolError as error:
            if error.request_id == self._hello_id:
                self._refuse(error)
            elif error.request_id in self._asked:
                waiting = self._asked.pop(error.request_id)
                _fail(waiting.future, Refused(error.code, f"The backend's answer is broken: {error.message}"))
            return
        if request_id == self._hello_id:
            self._welcomed(message)
        elif request_id in self._asked:  # else its deadline has passed
            waiting = self._asked.pop(request_id)
            if isinstance(message, Error):
                _fail(waiting.future, Refused(message.code, message.message, message.hint))
            else:
                _succeed(waiting.future, message)

    def _welcomed(self, message: Any) -> None:
        if isinstance(message, Error):
            self._refuse(message.to_exception())
        elif not isinstance(message, Welcome) or message.protocol != PROTOCOL_VERSION:
            theirs = getattr(message, "protocol", "unknown")
            self._refuse(
                ProtocolError(
                    "version_mismatch",
                    f"The backend speaks version {theirs} of the protocol, this extension version {PROTOCOL_VERSION}.",
                    "Install the same version of the Blender extension and of the backend.",
                )
            )
        else:
            self.welcome, self.problem, self.state = message, None, READY
            if message.device == PROBING:
                self._hello_at = time.monotonic() + PROBE_AGAIN_S

    def _refuse(self, error: ProtocolError) -> None:
        kind = VersionMismatch if error.code == "version_mismatch" else Problem
        self._give_up(kind(error.message, error.hint))

    def _give_up(self, problem: Problem) -> None:
        self.problem, self.state = problem, REFUSED
        self._stopping = True

    def _take_outbox(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_out.recv(4096)
        while True:
            try:
                self._unsent.append(self._outbox.get_nowait())
            except queue.Empty:
                return

    def _send_waiting(self, dealer: zmq.Socket) -> None:
        for waiting in self._unsent:
            if not waiting.future.set_running_or_notify_cancel():
                continue
            request_id = next(self._ids)
            try:
                frames = pack(waiting.message, request_id)
            except ProtocolError as error:
                _fail(waiting.future, Refused(error.code, f"This cannot be sent: {error.message}", error.hint))
                continue
            self._asked[request_id] = waiting
            dealer.send_multipart(frames, copy=False)
        self._unsent.clear()

    def _expire(self) -> None:
        now = time.monotonic()
        for request_id in [i for i, waiting in self._asked.items() if waiting.deadline < now]:
            kind = type(self._asked[request_id].message).__name__
            late = TimedOut(f"The backend did not answer ({kind}).", "It may be busy: wait, or start it again.")
            _fail(self._asked.pop(request_id).future, late)
        late = [waiting for waiting in self._unsent if waiting.deadline < now]
        self._unsent = [waiting for waiting in self._unsent if waiting.deadline >= now]
        for waiting in late:
            _fail(waiting.future, self.problem or NoBackend(f"Nobody answers at {self.endpoint.address}."))

    def _next_deadline_ms(self) -> int:
        deadlines = [waiting.deadline for waiting in (*self._asked.values(), *self._unsent)]
        if not deadlines:
            return 1_000
        return max(0, min(1_000, int(1000 * (min(deadlines) - time.monotonic())) + 1))

    def _fail_asked(self, problem: Problem) -> None:
        asked, self._asked = self._asked, {}
        for waiting in asked.values():
            _fail(waiting.future, problem)

    def _fail_all(self, problem: Problem) -> None:
        self._fail_asked(problem)
        unsent, self._unsent = self._unsent, []
        for waiting in unsent:
            _fail(waiting.future, problem)


def _succeed(future: Future, reply: Any) -> None:
    with contextlib.suppress(InvalidStateError):  # cancelled meanwhile
        future.set_result(reply)


def _fail(future: Future, problem: Problem) -> None:
    with contextlib.suppress(InvalidStateError):
        future.set_exception(problem)
