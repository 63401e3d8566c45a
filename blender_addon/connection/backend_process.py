# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend on this computer, started by Blender."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from .endpoint import FILE_NAME, Endpoint, process_alive, read_endpoint
from .problems import BackendDied, NoBackend, Problem

LOG_NAME = "blender-backend.log"
START_LIMIT_S = 60.0
STOP_LIMIT_S = 40.0  # it saves its jobs first, which may take half a minute
QUIT_LIMIT_S = 3.0  # that Blender waits for when it quits: the backend ends by itself after that
LOG_TAIL = 1_500  # characters of the log shown with a failure


def find_running(home: Path) -> Endpoint | None:
    """The endpoint of a backend that seems to run with this home folder already, or None."""
    try:
        endpoint = read_endpoint(home)
    except NoBackend:
        return None
    return endpoint if endpoint.remote or process_alive(endpoint.pid) else None


def log_tail(home: Path) -> str:
    """The last lines that the backend of a home folder wrote, when Blender had started it."""
    try:
        return (home / LOG_NAME).read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:].strip()
    except FileNotFoundError:
        return ""


def serve_command(executable: str) -> list[str]:
    """The command that serves, without its options, for a `milo` program or a Python that has milo installed.

    Raises:
        Problem: nothing usable is at that path.
    """
    if not executable:
        found = shutil.which("milo")
        if found is None:
            raise Problem(
                "The MILo backend is not found.",
                "Install it, then choose its `milo` program in the add-on's preferences.",
            )
        return [found, "serve"]
    path = Path(executable)
    if not path.is_file():
        raise Problem(f"There is no program {path}.", "Choose the backend's program in the add-on's preferences.")
    if path.stem.lower().startswith("python"):
        return [str(path), "-m", "milo.backend.cli", "serve"]
    return [str(path), "serve"]


class BackendProcess:
    """A `milo serve` process. It listens once `endpoint()` gives something; it may need a second or two.

    It ends with this process, unless `outlives`.
    """

    def __init__(self, executable: str, home: Path, outlives: bool = False):
        command = serve_command(executable)
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self._started = time.monotonic()
        (home / FILE_NAME).unlink(missing_ok=True)  # of a backend that has ended: the new one writes its own
        parent = [] if outlives else ["--parent", str(os.getpid())]
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}
        with (home / LOG_NAME).open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--home", str(home), *parent],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=outlives,  # Ctrl-C in Blender's terminal is not meant for it
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def endpoint(self) -> Endpoint | None:
        """Where it listens, or None while it starts.

        Raises:
            BackendDied: it ended, or took too long; the message holds the end of its log.
        """
        if not self.running:
            raise BackendDied(self.death(), self.log_tail())
        try:
            return read_endpoint(self.home)
        except NoBackend:
            if time.monotonic() - self._started > START_LIMIT_S:
                self.kill()
                late = f"The backend did not start within {START_LIMIT_S:.0f} s. {self.log_tail()}"
                raise BackendDied(late) from None
            return None

    def death(self) -> str:
        """What to tell the user when `running` has turned false on its own."""
        status = self._process.returncode
        how = f"was killed (signal {-status})" if status is not None and status < 0 else f"ended (exit status {status})"
        return f"The backend {how}."

    def log_tail(self) -> str:
        """The last lines it wrote."""
        return log_tail(self.home)

    def ask_to_end(self) -> None:
        """Ask it to save its jobs and end; does not wait."""
        if self.running:
            self._process.terminate()

    def kill(self) -> None:
        """End it by force; its jobs lose the work since their last checkpoint."""
        self._process.kill()
        self._process.wait()

    def wait(self, seconds: float) -> None:
        """Give it some time to end. It may go on saving after that, and then end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
