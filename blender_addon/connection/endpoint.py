# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a backend listens and the keys to speak to it: the connection file that `milo serve` writes (mode 0600)."""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from .problems import NoBackend, Problem

FILE_NAME = "connection.json"
FORMAT = 1


@dataclass(frozen=True)
class Endpoint:
    """An address with the keys (z85 text) for CURVE, and the process behind it."""

    address: str
    server_key: str
    client_public: str
    client_secret: str
    pid: int  # 0 on another computer
    version: str
    remote: bool = False


def read_endpoint(home: Path) -> Endpoint:
    """The endpoint in a backend's home folder.

    Raises:
        NoBackend: there is no connection file.
        Problem: it is damaged or of another format.
    """
    path = home / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NoBackend("No backend is running.", "Start the backend.") from None
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error}.", "Remove the file and start the backend again.") from error
    try:
        content = json.loads(text)
    except ValueError as error:
        raise Problem(f"{path} cannot be read: {error}.", "Remove the file and start the backend again.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Problem(
            f"{path} is not a connection file of format {FORMAT}.",
            "Install the same version of the Blender extension and of the backend.",
        )
    try:
        return Endpoint(
            address=str(content["address"]),
            server_key=_key(content["server_key"]),
            client_public=_key(content["client_public"]),
            client_secret=_key(content["client_secret"]),
            pid=int(content["pid"]),
            version=str(content["version"]),
            remote=content.get("remote") is True,
        )
    except (KeyError, TypeError, ValueError) as error:
        message = f"{path} lacks a good value for {error}."
        raise Problem(message, "Remove the file and start the backend again.") from error


def _key(value: str) -> str:
    if not isinstance(value, str) or len(value) != 40:
        raise ValueError("a key (40 characters)")
    return value


def save_remote(home: Path, endpoint: Endpoint) -> None:
    """Keep what it takes to reach a backend on another computer in `home`, for this user only."""
    home.mkdir(parents=True, exist_ok=True)
    part = home / f"{FILE_NAME}.part"
    part.touch(0o600)
    part.write_text(json.dumps(asdict(endpoint) | {"format": FORMAT}), encoding="utf-8")
    part.replace(home / FILE_NAME)


def is_loopback(address: str) -> bool:
    """True for tcp addresses of this computer, which may be used without online access."""
    match = re.fullmatch(r"tcp://\[?([^\]/]+?)\]?:\d+", address)
    if not match:
        return False
    if match[1] == "localhost":
        return True
    try:
        return ipaddress.ip_address(match[1]).is_loopback
    except ValueError:
        return False


def process_alive(pid: int) -> bool:
    """Whether a process with this id exists (it may be another one by now: the handshake tells)."""
    if pid <= 0:
        return False
    if sys.platform == "win32":
        query_limited_information, still_active = 0x1000, 259
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(query_limited_information, False, pid)
        if not handle:
            return False
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel.CloseHandle(handle)
        return code.value == still_active
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
