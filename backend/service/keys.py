# SPDX-License-Identifier: Apache-2.0
"""Who may speak to the server: CURVE keys, the ZAP answer that lets only known clients in, the connection file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils import z85

from .files import write_json

FORMAT = 1
ZAP_ENDPOINT = "inproc://zeromq.zap.01"


@dataclass(frozen=True)
class KeyPair:
    """Z85 text, 40 characters each."""

    public: str
    secret: str


@dataclass(frozen=True)
class Keys:
    """The server's own keys, and those of the local client, which lie in the connection file."""

    server: KeyPair
    client: KeyPair


def load_keys(folder: Path) -> Keys:
    """The keys of a workspace, made at the first start. Files and folder can be read by their owner only."""
    folder.mkdir(mode=0o700, exist_ok=True)
    os.chmod(folder, 0o700)
    return Keys(_key_pair(folder / "server.json"), _key_pair(folder / "client.json"))


def _key_pair(path: Path) -> KeyPair:
    if path.exists():
        content = json.loads(path.read_text("utf-8"))
        if content.get("format") != FORMAT:
            raise ValueError(f"{path} has format {content.get('format')}; this version of MILo reads {FORMAT}. "
                             "Remove it to make new keys.")
        return KeyPair(content["public"], content["secret"])
    public, secret = (key.decode() for key in zmq.curve_keypair())
    write_json(path, {"format": FORMAT, "public": public, "secret": secret}, mode=0o600)
    return KeyPair(public, secret)


def write_connection(path: Path, address: str, keys: Keys, version: str) -> None:
    """Tell local clients how to connect. Only the owner of the file can read it."""
    write_json(path, {"format": FORMAT, "address": address, "server_key": keys.server.public,
                      "client_public": keys.client.public, "client_secret": keys.client.secret,
                      "pid": os.getpid(), "version": version}, mode=0o600)


def remove_connection(path: Path) -> None:
    """Remove the connection file if it is this process's own."""
    try:
        if json.loads(path.read_text("utf-8")).get("pid") == os.getpid():
            path.unlink()
    except (OSError, ValueError):
        pass


def zap_answer(request: list[bytes], allowed: Callable[[str], bool]) -> list[bytes]:
    """The reply to a question of ZAP (RFC 27): 200 for CURVE with an allowed key, which becomes the user id, else 400.

    A CURVE server without anyone to answer this lets every client in.
    """
    number = request[1] if len(request) > 1 else b""
    if len(request) == 7 and request[0] == b"1.0" and request[5] == b"CURVE" and len(request[6]) == 32:
        key = z85.encode(request[6])
        if allowed(key.decode()):
            return [b"1.0", number, b"200", b"OK", key, b""]
    return [b"1.0", number, b"400", b"This key is not known here", b"", b""]
