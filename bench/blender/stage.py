# SPDX-License-Identifier: Apache-2.0
"""A real Blender window under Xvfb, with a script inside that plays an artist and somebody outside who moves the mouse.

    MILO_BLENDER              command of a real Blender; default: `blender` on the search path
    MILO_BLENDER_ROOT         where that command's root folder is, if it is a chroot

The script asks by files ROOM/NAME.wish, which vanish once granted: a picture of the screen, mouse and keys (xdotool),
or a backend, because a program in a chroot cannot start one outside of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIZE = (1280, 800)
PROGRAM = """#!/usr/bin/env python3
# Stands for `milo`: has the backend started where it is installed, and lives as long as it does.
import json, os, signal, sys, time
from pathlib import Path
room = Path(__file__).parent
(room / "pid").unlink(missing_ok=True)
(room / "serve.part").write_text(json.dumps({"serve": sys.argv[2:]}))
(room / "serve.part").rename(room / "serve.wish")
while not (room / "pid").exists():
    time.sleep(0.02)
pid = int((room / "pid").read_text())
signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
while True:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        break
    time.sleep(0.1)
"""


class Missing(Exception):
    """A program that a window needs is not installed: a sentence that says how to get it."""


def blender_command() -> list[str]:
    command = shlex.split(os.environ.get("MILO_BLENDER", "blender"))
    if not shutil.which(command[0]):
        raise Missing("No Blender with a window: name its command in MILO_BLENDER.")
    for program in ("Xvfb", "import", "xdotool"):
        if not shutil.which(program):
            raise Missing(f"{program} is not installed (apt-get install xvfb imagemagick xdotool).")
    return command


@contextlib.contextmanager
def screen() -> Iterator[str]:
    """An X display of its own, with a number that is free."""
    number, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24", "+extension", "GLX",
               "-nolisten", "tcp"]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, pass_fds=(write,))
    os.close(write)
    try:
        with os.fdopen(number) as told:
            yield f":{told.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)


@contextlib.contextmanager
def room() -> Iterator[Path]:
    """A folder that has the same path here and in the chroot."""
    path = Path(f"/tmp/milo-window-{os.getpid()}")
    root = os.environ.get("MILO_BLENDER_ROOT")
    real = Path(root) / path.relative_to("/") if root else path
    real.mkdir(parents=True)
    if root:
        path.symlink_to(real)
    try:
        yield path
    finally:
        shutil.rmtree(real)
        if root:
            path.unlink()


class Stage:
    """Plays scripts in a window.

    Attributes:
        room: the folder that both sides see; a script leaves its result.json there.
        backend: the command that is `milo serve` for the add-on; its options are appended.
        said: everything that Blender and the backends said.
    """

    def __init__(self, display: str, room: Path, addon_zip: Path, pictures: Path, backend: list[str] | None = None):
        self.display, self.room, self.pictures = display, room, pictures
        self.backend = backend or [sys.executable, "-m", "milo.backend.cli", "serve"]
        self.said = ""
        self._backends: list[subprocess.Popen] = []
        pictures.mkdir(parents=True, exist_ok=True)
        shutil.copy(addon_zip, room / "milo.zip")
        shutil.copy(HERE / "hands.py", room)
        (room / "milo").write_text(PROGRAM)
        (room / "milo").chmod(0o755)

    def play(self, script: Path, *arguments: str, limit_s: float = 300.0, **environment: str) -> dict:
        """Run a script in a Blender of its own; its result. Backends that outlive it stay for the next.

        Raises:
            RuntimeError: it left no result, or something went wrong inside; with what Blender said.
        """
        result = self.room / "result.json"
        result.unlink(missing_ok=True)
        environment = os.environ | environment | {
            "DISPLAY": self.display, "LIBGL_ALWAYS_SOFTWARE": "1", "ROOM": str(self.room),
            "BLENDER_USER_RESOURCES": str(self.room / "user")}
        shutil.copy(script, self.room / "script.py")
        command = [*blender_command(), "--factory-startup", "--window-geometry", "0", "0", *map(str, SIZE),
                   *arguments, "--python", str(self.room / "script.py")]
        with (self.room / "blender.log").open("w") as log:
            window = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            end = time.monotonic() + limit_s
            while window.poll() is None and time.monotonic() < end:
                for wish in self.room.glob("*.wish"):
                    self._grant(wish.stem, json.loads(wish.read_text()), environment)
                    wish.unlink()
                for backend in self._backends:
                    backend.poll()   # one that has ended must be seen to have
                time.sleep(0.02)
        finally:
            late = window.poll() is None
            if late:
                self.photograph("too-late")
            window.kill()
            window.wait()
        self.said = (self.room / "blender.log").read_text(errors="replace")
        if late or not result.exists() or "Traceback" in self.said:
            raise RuntimeError(f"{script.name} in Blender{' took too long' if late else ''}:\n{self.said}")
        return json.loads(result.read_text())

    def close(self) -> None:
        """End the backends that are left."""
        for backend in self._backends:
            backend.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                backend.wait(40)
            backend.kill()
            backend.wait()

    def photograph(self, name: str) -> None:
        """The screen as build/.../NAME.png."""
        subprocess.run(["import", "-display", self.display, "-window", "root", str(self.pictures / f"{name}.png")],
                       check=True, timeout=60)

    def _grant(self, name: str, wish: dict, environment: dict) -> None:
        if "picture" in wish:
            self.photograph(wish["picture"])
        elif "hands" in wish:
            subprocess.run(["xdotool", *wish["hands"]], check=True, timeout=20, env=environment)
        elif "serve" in wish:
            with (self.room / "backend.log").open("a") as log:
                process = subprocess.Popen([*self.backend, *wish["serve"]], stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=subprocess.STDOUT, env=environment, start_new_session=True)
            self._backends.append(process)
            part = self.room / "pid.part"
            part.write_text(str(process.pid))
            part.rename(self.room / "pid")
        else:
            raise RuntimeError(f"{name}: nobody knows how to grant {wish}")
