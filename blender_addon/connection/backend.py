# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend as the panel sees it: stopped, starting, ready or stopping. Moved on by `step`, which never blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ..protocol.messages import StopServer
from . import client as link
from .backend_process import QUIT_LIMIT_S, STOP_LIMIT_S, BackendProcess, find_running
from .client import Client
from .endpoint import Endpoint, is_loopback, process_alive
from .problems import BackendDied, NoBackend, Problem

STOPPED, STARTING, READY, STOPPING = "stopped", "starting", "ready", "stopping"
SILENCE_LIMIT_S = 20.0  # a connection to a running process that does not come up


class Backend:
    """A backend: found by its connection file, or, on this computer, started.

    Attributes:
        state: "stopped", "starting", "ready" or "stopping".
        problem: why it is not ready, when that is not what the user asked for; else None.
        client: the connection; use it while the state is "ready".
        home: the folder of its keys, jobs and logs; of a remote one, of its keys.
    """

    def __init__(self, version: str, online: Callable[[], bool]):
        self.version = version
        self.state = STOPPED
        self.problem: Problem | None = None
        self.client: Client | None = None
        self._online = online
        self._remote = self._outlives = False
        self._process: BackendProcess | None = None
        self._pid = 0
        self._executable = ""
        self.home = Path()
        self._may_launch = False
        self._since = 0.0

    @property
    def device(self) -> str:
        """What the backend computes with, e.g. "cpu"; empty while unknown."""
        welcome = self.client.welcome if self.client else None
        return welcome.device if welcome else ""

    def lacks(self, capability: str) -> bool:
        """Whether the backend is known not to be able to do something; False while it has not said what it can."""
        welcome = self.client.welcome if self.client else None
        return bool(welcome and welcome.capabilities) and capability not in welcome.capabilities

    @property
    def pid(self) -> int:
        """The backend's process, 0 while there is none."""
        return self._pid if self.state != STOPPED else 0

    @property
    def server_version(self) -> str:
        """The version of the backend's program; empty while unknown."""
        welcome = self.client.welcome if self.client else None
        return welcome.version if welcome else ""

    @property
    def remote(self) -> bool:
        """Whether it runs on another computer: it is neither started nor stopped from here."""
        return self._remote and self.state != STOPPED

    def start(self, executable: str, home: Path, outlives: bool = False) -> None:
        """Find or start the backend of a home folder. One that is started ends with Blender, unless it `outlives` it.

        Raises:
            Problem: there is no such program, or the address is not to be used.
        """
        if self.state in (STARTING, READY):
            return
        self.problem = None
        self._drop()
        self._executable, self.home, self._may_launch = executable, home, True
        self._outlives = outlives
        running = find_running(home)
        if running:
            self._connect(running)
        else:
            self._launch()

    def attach(self, home: Path) -> bool:
        """Connect to a running backend without starting one. Returns whether one seems to be there."""
        if self.state in (STARTING, READY):
            return True
        running = find_running(home)
        if running:
            self.problem = None
            self._drop()
            self.home, self._may_launch = home, False
            self._connect(running)
        return running is not None

    def stop(self) -> None:
        """End the backend; its running jobs are saved and can be resumed. A remote one is only let go of."""
        if self._remote:
            self._drop()
            self._enter(STOPPED)
        elif self.state == READY:
            self.client.request(StopServer(), STOP_LIMIT_S)
            self._enter(STOPPING)
        elif self._process:
            self._process.ask_to_end()
            self._enter(STOPPING)
        else:
            self._drop()
            self._enter(STOPPED)
        self.problem = None

    def close(self) -> None:
        """Let go of everything now (Blender quits, or the add-on is switched off)."""
        if self._process and not self._outlives:
            if self.state == READY:  # the gentle way on every system; a signal on top of it would cut the saving short
                self.client.request(StopServer(), QUIT_LIMIT_S)
            elif self.state == STARTING:
                self._process.ask_to_end()
            self._process.wait(QUIT_LIMIT_S)
        self._drop()
        self._enter(STOPPED)

    def step(self) -> None:
        """Look at the process and the connection, and draw the conclusions."""
        if self.state == STOPPED:
            return
        if self.state == STOPPING:
            self._step_stopping()
        elif self._process and not self._process.running:
            self._fail(BackendDied(self._process.death(), self._process.log_tail() if self.state == STARTING else ""))
        elif self.state == STARTING:
            self._step_starting()
        else:
            self._step_ready()

    # ---------------------------------------------------------------------------------------------------------------

    def _step_starting(self) -> None:
        if self.client is None:
            try:
                endpoint = self._process.endpoint()
                if endpoint:
                    self._connect(endpoint)
            except Problem as problem:
                self._fail(problem)
            return
        if self.client.state == link.READY:
            self._enter(READY)
        elif self.client.state in (link.REFUSED, link.CLOSED):
            self._fail(self.client.problem)
        elif isinstance(self.client.problem, NoBackend) and self._process is None:
            # The connection file was left behind, and its process id belongs to something else by now.
            problem, may_launch = self.client.problem, self._may_launch and not self._remote
            self._drop()
            if may_launch:
                self._launch()
            else:
                self._fail(problem)
        elif time.monotonic() - self._since > SILENCE_LIMIT_S:
            address = self.client.endpoint.address
            self._fail(self.client.problem or NoBackend(f"Nobody answers at {address}.", "Stop it and start it again."))

    def _step_ready(self) -> None:
        if self.client.state in (link.REFUSED, link.CLOSED):
            self._fail(self.client.problem)
        elif self.client.state == link.LOST and not (self._process or self._remote or process_alive(self._pid)):
            self._fail(BackendDied("The backend ended."))
        else:  # lost, but the process is there: libzmq connects again
            self.problem = self.client.problem

    def _step_stopping(self) -> None:
        ended = not self._process.running if self._process else not process_alive(self._pid)
        if not ended and time.monotonic() - self._since > STOP_LIMIT_S:
            if self._process:
                self._process.kill()
            ended = True
        if ended:
            self._drop()
            self._enter(STOPPED)

    def _launch(self) -> None:
        self._process = BackendProcess(self._executable, self.home, self._outlives)
        self._pid = self._process.pid
        self._enter(STARTING)

    def _connect(self, endpoint: Endpoint) -> None:
        if not is_loopback(endpoint.address) and not self._online():
            raise Problem(
                f"{endpoint.address} is another computer, and Blender is not allowed to go online.",
                "Allow Online Access in Preferences > System > Network.",
            )
        self.client = Client(endpoint, self.version)
        self._pid, self._remote = endpoint.pid, endpoint.remote
        self._enter(STARTING)

    def _fail(self, problem: Problem | None) -> None:
        if self._process and self._process.running:
            self._process.ask_to_end()
        self._drop()
        self._enter(STOPPED)
        self.problem = problem

    def _drop(self) -> None:
        if self.client:
            self.client.close()
        self.client, self._process, self._remote = None, None, False

    def _enter(self, state: str) -> None:
        self.state, self._since = state, time.monotonic()
