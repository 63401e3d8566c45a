# SPDX-License-Identifier: GPL-3.0-or-later
"""How to come by a backend on this computer."""

from __future__ import annotations

import sys
import time
from functools import lru_cache
from pathlib import Path

from .backend_process import find_running, serve_command
from .problems import Problem

LOOK_AGAIN_S = 3.0

if sys.platform == "win32":
    COMMAND, PROGRAM = r"py -m venv .venv && .venv\Scripts\pip install .[align,cuda]", r".venv\Scripts\milo.exe"
elif sys.platform == "darwin":
    COMMAND, PROGRAM = "python3 -m venv .venv && .venv/bin/pip install '.[align]'", ".venv/bin/milo"
else:
    COMMAND, PROGRAM = "python3 -m venv .venv && .venv/bin/pip install '.[align,cuda]'", ".venv/bin/milo"


def why_missing(program: str, home: Path) -> Problem | None:
    """Why no backend with this program ("": looked for) and home folder can be had. Quick: a panel asks this."""
    return _why_missing(program, home, int(time.monotonic() / LOOK_AGAIN_S))


@lru_cache(maxsize=4)
def _why_missing(program: str, home: Path, moment: int) -> Problem | None:
    try:
        if find_running(home):
            return None
        serve_command(program)
    except Problem as problem:
        return problem
    return None


def name_of(program: Path) -> str:
    """A name for the list: of the folder that the environment of a program lies in."""
    parts = [part for part in program.parent.parts if part.lower() not in ("bin", "scripts", ".venv", "venv")]
    return parts[-1].strip("/\\") or program.stem if parts else program.stem
