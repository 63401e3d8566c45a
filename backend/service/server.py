# SPDX-License-Identifier: Apache-2.0
"""The service: one loop over a CURVE-encrypted ROUTER socket. It imports no torch, starts at once and never blocks."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
import logging.handlers
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import zmq

from milo.protocol import ProtocolError, pack, unpack
from milo.protocol.limits import MAX_REQUEST_FRAME_BYTES
from milo.protocol.messages import Error
from milo.protocol.pairing import PAIRING_S

from .desk import Desk
from .jobs import Jobs
from .keys import ZAP_ENDPOINT, load_keys, remove_connection, write_connection, zap_answer
from .launcher import LocalLauncher, new_group
from .mailbox import Mailbox
from .pairing import Pairing
from .parent import is_alive
from .peer import Peer
from .renderers import Renderers
from .store import Store
from .worker import RUNNER
from .workspace import Workspace, default_home

log = logging.getLogger(__name__)

TICK_S = 0.1
PARENT_EVERY_S = 1.0
LOGS_EVERY_S = 5.0
STOP_PATIENCE_S = 30.0       # for workers to save when the server ends
MESSAGES_A_ROUND = 64
LOOPBACK = ("127.0.0.1", "localhost")


def serve(home: Path | None = None, host: str = "127.0.0.1", port: int = 0, *, parent: int | None = None,
          devices: tuple[str, ...] = ("auto",), runner: str = RUNNER, painter: str | None = None) -> None:
    """Run the service until it is told to stop (server.stop, SIGTERM, SIGINT) or its parent ends.

    Prints "ready tcp://host:port" when it listens, and writes home/connection.json for local clients. Where others can
    reach it, it prints a pairing code too (pairing.py).

    Args:
        home: folder of keys, blobs, jobs and logs; $MILO_HOME or ~/.milo if None.
        host: address to listen on; "0.0.0.0" for all. Only clients with the key of the connection file are let in, and
            paired ones.
        port: TCP port, 0 for a free one.
        parent: id of a process; the service ends when it ends.
        devices: where jobs run, one at a time on each; "auto" is the GPU where there is one.
        runner: "module:function" in place of the reconstruction (worker.py).
        painter: "module:function" in place of the splat renderer (render_worker.py).

    Raises:
        ProtocolError: another server uses this home, a newer version wrote it, or the address cannot be used.
    """
    server = Server(home or default_home(), host, port, parent, devices, runner, painter)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.mailbox.post(server.stop))
    try:
        with contextlib.suppress(OSError):     # nobody may be reading
            print(f"ready {server.address}", flush=True)
            if host not in LOOPBACK:
                print(f"Paste this into Blender to pair it with this backend. It serves once, for {PAIRING_S / 60:.0f} "
                      f"minutes; `milo pair` makes another.\n{server.pairing.open().code}", flush=True)
        server.run()
    finally:
        server.close()


class Server:
    """Sockets and the loop; what is said is the desk's business."""

    def __init__(self, home: Path, host: str, port: int, parent: int | None, devices: tuple[str, ...], runner: str,
                 painter: str | None):
        self.workspace = Workspace(home)
        _log_to(self.workspace.home / "server.log")
        self.parent, self.version = parent, _version()
        self.mailbox = Mailbox()
        self.keys = load_keys(self.workspace.home / "keys")
        self._stop_at: float | None = None
        self._probe: subprocess.Popen | None = None
        self._changed: set[str] = set()
        self._listen(host, port)
        bound = self.router.last_endpoint.decode().rstrip("\0").removeprefix("tcp://")
        self.pairing = Pairing(self.keys, self.workspace.home / "keys", bound)

        store = Store(self.workspace.home / "state.sqlite")
        launcher = LocalLauncher(self.workspace.blobs.root, runner)
        self.jobs = Jobs(store, self.workspace.jobs, launcher, devices, self.mailbox.post, self._changed.add)
        self.workspace.remove_unstarted({*self.jobs.ids(), *store.deleted()})
        codec = "raw" if host in LOOPBACK else "zlib"
        self.renderers = Renderers(self.workspace.jobs, self.workspace.blobs.root, devices[0], codec, painter,
                                   self.mailbox.post, self.send, lambda peer, message: self.desk.reply(peer, message))
        self.desk = Desk(self.workspace, self.jobs, self.renderers, self.version, _build(), self.pairing,
                         self.mailbox.post, self.send, self.stop)
        self.desk.remove_deleted()
        self._connection = self.workspace.home / "connection.json"
        write_connection(self._connection, self.address, self.keys, self.version)
        threading.Thread(target=self._ask_probe, daemon=True).start()
        log.info("MILo %s listens at %s, home %s", self.version, self.address, self.workspace.home)

    def _listen(self, host: str, port: int) -> None:
        self.context = zmq.Context()
        self.gate = self.context.socket(zmq.REP)      # before the socket that it guards
        self.gate.bind(ZAP_ENDPOINT)
        self.router = self.context.socket(zmq.ROUTER)
        self.router.curve_server = True
        self.router.curve_publickey = self.keys.server.public.encode()
        self.router.curve_secretkey = self.keys.server.secret.encode()
        self.router.zap_domain = b"milo"
        self.router.maxmsgsize = MAX_REQUEST_FRAME_BYTES
        self.router.sndhwm = 100
        self.router.heartbeat_ivl, self.router.heartbeat_timeout = 10_000, 60_000     # milliseconds
        try:
            self.router.bind(f"tcp://{host}:{port}")
        except zmq.ZMQError as error:
            raise ProtocolError("bad_request", f"{host}:{port} cannot be listened on: {error}.",
                                "Choose another --host or --port.") from error
        bound = self.router.last_endpoint.decode().rstrip("\0")
        self.address = bound.replace("0.0.0.0", "127.0.0.1")

    def run(self) -> None:
        """The loop."""
        poller = zmq.Poller()
        for source in (self.gate, self.router, self.mailbox.fileno()):
            poller.register(source, zmq.POLLIN)
        next_parent = next_logs = 0.0
        while not self._done():
            poller.poll(self._patience_ms())
            self._let_in()
            self._receive()
            for call in self.mailbox.take():
                self._do(call)
            self.jobs.tick()
            self.renderers.tick()
            self._tell_changes()
            self.desk.expire()
            now = time.monotonic()
            if self.parent is not None and now >= next_parent:
                next_parent = now + PARENT_EVERY_S
                if not is_alive(self.parent):
                    self.parent = None
                    if self._stop_at is None:     # else its last words were to stop: let the workers save
                        self.stop()
            if now >= next_logs:
                next_logs = now + LOGS_EVERY_S
                self.jobs.limit_logs()

    @staticmethod
    def _do(call: Callable[[], None]) -> None:
        """What fails for one job, on a full disk say, must not take the others down."""
        try:
            call()
        except Exception:
            log.exception("a posted call failed")

    def stop(self) -> None:
        """Ask the workers to save, and end the loop when they have ended. A second call does not wait for them."""
        if self._stop_at is None:
            log.info("stopping")
            self._stop_at = time.monotonic() + STOP_PATIENCE_S
            self.jobs.stop()
        else:
            self._stop_at = time.monotonic()

    def send(self, client: bytes, frames: list) -> None:
        """Send to a client; one that is gone, or reads nothing, misses it."""
        with contextlib.suppress(zmq.ZMQError):
            self.router.send_multipart([client, *frames], zmq.NOBLOCK, copy=False)

    def close(self) -> None:
        if self._probe is not None and self._probe.poll() is None:
            self._probe.kill()
        self.renderers.close_all()
        self.jobs.kill_all()
        self.desk.close()
        for call in self.mailbox.take():      # answers that the file thread has just made
            call()
        self.jobs.save()
        self.jobs.store.close()
        remove_connection(self._connection)
        self.router.close(linger=1000)
        self.gate.close(linger=0)
        self.context.term()
        self.mailbox.close()
        self.workspace.close()
        log.info("ended")

    # ------------------------------------------------------------------ loop

    def _done(self) -> bool:
        if self._stop_at is None or (self.jobs.running and time.monotonic() < self._stop_at + 2.0):
            if self._stop_at is not None and time.monotonic() >= self._stop_at:
                self.jobs.kill_all()
            return False
        return True

    def _patience_ms(self) -> int:
        idle = self._stop_at is None and not self.jobs.running
        wait_s = min(PARENT_EVERY_S if idle else TICK_S, self.desk.polls.next_deadline() - time.monotonic())
        return max(0, int(wait_s * 1000) + 1)

    def _let_in(self) -> None:
        while self.gate.poll(0):
            self.gate.send_multipart(zap_answer(self.gate.recv_multipart(), self.pairing.may_connect))

    def _receive(self) -> None:
        for _ in range(MESSAGES_A_ROUND):
            try:
                client, *frames = self.router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            key = frames[0].get("User-Id")
            try:
                self.pairing.check_size(key, sum(map(len, frames)))
                request_id, question = unpack([frame.buffer for frame in frames])
            except ProtocolError as error:
                refusal = Error(error.code, error.message[:2000], error.hint)
                self.send(client.bytes, pack(refusal, error.request_id or 0))
                continue
            self.desk.answer(Peer(client.bytes, request_id, key), question)

    def _tell_changes(self) -> None:
        changed = list(self._changed)
        self._changed.clear()
        for job in changed:
            self.desk.job_changed(job)
        if any(job not in self.jobs.ids() for job in changed):
            self.desk.remove_deleted()

    # ----------------------------------------------------------------- probe

    def _ask_probe(self) -> None:
        """Find out in another process what the machine can do; hello answers "probing" until it is known."""
        command = [sys.executable, "-m", "milo.backend.service.probe"]
        try:
            self._probe = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                           stderr=subprocess.DEVNULL, **new_group())
            known = json.loads(self._probe.communicate(timeout=120)[0])
            device, capabilities = str(known["device"]), tuple(map(str, known["capabilities"]))
            memory = known["memory"]
        except (OSError, ValueError, KeyError, TypeError, subprocess.TimeoutExpired):
            device, capabilities, memory = "unknown (the probe failed)", (), {}

        def tell():
            self.desk.device, self.desk.capabilities, self.desk.memory = device, capabilities, memory
        self.mailbox.post(tell)


def _version() -> str:
    try:
        return importlib.metadata.version("milo-blender")
    except importlib.metadata.PackageNotFoundError:     # run from a source tree
        return "development"


def _build() -> str:
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, ZeroMQ {zmq.zmq_version()}"


def _log_to(path: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=1 << 20, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    service = logging.getLogger(__package__)
    for old in list(service.handlers):
        service.removeHandler(old)
        old.close()
    service.addHandler(handler)
    service.setLevel(logging.INFO)
    os.chmod(path, 0o600)
