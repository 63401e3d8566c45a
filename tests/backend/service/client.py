# SPDX-License-Identifier: Apache-2.0
"""A minimal synchronous client, and a server process, for tests."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zmq

from milo.protocol import messages as m
from milo.protocol import pack, unpack

HERE = Path(__file__).parent


class Client:
    def __init__(self, connection: dict, **changed_keys):
        keys = connection | changed_keys
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.curve_serverkey = keys["server_key"].encode()
        self.socket.curve_publickey = keys["client_public"].encode()
        self.socket.curve_secretkey = keys["client_secret"].encode()
        self.socket.connect(keys["address"])
        self.last_id = 0
        self.early: dict[int, object] = {}

    def send(self, message) -> int:
        self.last_id += 1
        self.socket.send_multipart(pack(message, self.last_id))
        return self.last_id

    def receive(self, request_id: int, timeout_s: float = 10.0):
        """The reply to a request, an Error as an exception; TimeoutError if none comes."""
        deadline = time.monotonic() + timeout_s
        while request_id not in self.early:
            if not self.socket.poll(max(0, int(1000 * (deadline - time.monotonic())))):
                raise TimeoutError(f"no reply to {request_id}")
            came, message = unpack(self.socket.recv_multipart())
            self.early[came] = message
        reply = self.early.pop(request_id)
        if isinstance(reply, m.Error):
            raise reply.to_exception()
        return reply

    def ask(self, message, timeout_s: float = 10.0):
        return self.receive(self.send(message), timeout_s)

    def put(self, data: bytes, chunk: int = 1 << 20) -> str:
        digest = hashlib.sha256(data).hexdigest()
        stored = None
        offset = 0
        while stored is None or not stored.complete:
            piece = np.frombuffer(data[offset:offset + chunk], np.uint8)
            stored = self.ask(m.PutBlob(digest, len(data), offset, piece))
            offset = stored.received
        return digest

    def start(self, name="job", **settings) -> m.JobInfo:
        """A job of the fake runner, with one small file."""
        data = b"photo of " + name.encode()
        scene = m.SceneFiles((m.SceneFile("images/a.jpg", self.put(data), len(data)),))
        return self.ask(m.StartJob(name, scene, settings={f"fake.{key}": value for key, value in settings.items()}))

    def wait(self, job: str, until, timeout_s: float = 15.0) -> m.JobInfo:
        """Watch a job until a condition holds; `until` is a state or a function of JobInfo."""
        if isinstance(until, str):
            state = until
            until = lambda info: info.state == state   # noqa: E731
        deadline, info = time.monotonic() + timeout_s, self.ask(m.GetJob(job))
        while not until(info):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{info}")
            came = self.ask(m.WatchJob(job, info.revision, 1.0))
            info = info if isinstance(came, m.Nothing) else came
        return info

    def close(self):
        self.socket.close()
        self.context.term()


class ServerProcess:
    """A real server in a process of its own, with the fake runner."""

    def __init__(self, home: Path, *options: str):
        self.home, self.clients = home, []
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "milo.backend.service", "--home", str(home), "--runner", "fake_runner:run",
                   "--painter", "fake_runner:paint", *options]
        started = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                        env=os.environ | {"PYTHONPATH": path})
        self.ready_line = self.process.stdout.readline()
        self.started_s = time.monotonic() - started

    @property
    def connection(self) -> dict:
        return json.loads((self.home / "connection.json").read_text())

    def client(self, **changed_keys) -> Client:
        client = Client(self.connection, **changed_keys)
        self.clients.append(client)
        return client

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process.stdout.close()
