# SPDX-License-Identifier: Apache-2.0
"""Who may say what: the local client everything, paired ones nearly so, and a pairing code's key just `pair`.

keys/paired.json   {"format": 1, "clients": [{"public", "name", "since"}]}: take a line out to shut that client out
"""

from __future__ import annotations

import json
import platform
import secrets
import socket
import time
from pathlib import Path
from typing import Any

import zmq
from zmq.utils import z85

from milo.protocol import ProtocolError
from milo.protocol.messages import Hello, StopServer
from milo.protocol.pairing import PAIRING_S, OpenedPairing, OpenPairing, Pair, Paired, PairingCode

from .files import write_json
from .keys import Keys

FORMAT = 1
MOST_CODES = 1_000     # remembered
TOLD_S = PAIRING_S     # for so long after its end, a code is told from a wrong one; then it is one
MAX_CODE_BYTES = 16 << 10     # of a message from a code's key: `hello` and `pair` are short


class Pairing:
    """address: "host:port" as it is bound."""

    def __init__(self, keys: Keys, folder: Path, address: str):
        self.keys, self.path, self.address = keys, folder / "paired.json", address
        self._codes: dict[str, float] = {}     # public key of a code -> time.monotonic() of its end
        self._used: set[str] = set()           # those that have served
        self._clients: list[dict] = []
        if self.path.exists():
            content = json.loads(self.path.read_text("utf-8"))
            if content.get("format") != FORMAT:
                raise ValueError(f"{self.path} has format {content.get('format')}; this version of MILo reads {FORMAT}."
                                 " Remove it to pair anew.")
            self._clients = content["clients"]

    def may_connect(self, key: str) -> bool:
        """Codes that have served or ended may too, for a while: to be told so."""
        self._forget_codes()
        return key in self._codes or self._is_client(key)

    def check_size(self, key: str, size: int) -> None:
        """Raises ProtocolError bad_request if this key may send no message of so many bytes: to be asked before it is
        read."""
        if size > MAX_CODE_BYTES and not self._is_client(key):
            raise ProtocolError("bad_request", "A pairing code serves for pairing alone.", "Pair first.")

    def check(self, key: str, question: Any) -> None:
        """Raises ProtocolError bad_request if this key may not ask this."""
        if isinstance(question, OpenPairing) and key != self.keys.client.public:
            raise ProtocolError("bad_request", "Only the backend's own computer can make pairing codes.",
                                "Give there: milo pair")
        if self._is_client(key):
            if isinstance(question, Pair):
                raise ProtocolError("bad_request", "This client is let in already.")
            if isinstance(question, StopServer) and key != self.keys.client.public:
                raise ProtocolError("bad_request", "Only the backend's own computer can stop it.",
                                    "End `milo serve` there.")
            return
        if key in self._used or self._codes.get(key, 0.0) < time.monotonic():
            what = "been used already" if key in self._used else "expired"
            raise ProtocolError("bad_request", f"This pairing code has {what}.",
                                "On the backend's computer, `milo pair` makes a new one.")
        if not isinstance(question, Hello | Pair):
            raise ProtocolError("bad_request", "A pairing code serves for pairing alone.", "Pair first.")

    def open(self, address: str = "") -> OpenedPairing:
        """A new code."""
        code = PairingCode(address or self._seen_address(), z85.decode(self.keys.server.public),
                           secrets.token_bytes(16))
        public = zmq.curve_public(z85.encode(code.client_secret)).decode()
        self._codes[public] = time.monotonic() + PAIRING_S
        self._forget_codes()
        return OpenedPairing(code.text, PAIRING_S)

    def admit(self, key: str, question: Pair) -> Paired:
        """Let a new client in, whose code's key is `key`."""
        kept = [client for client in self._clients if client["public"] != question.public]
        clients = [*kept, {"public": question.public, "name": question.name, "since": round(time.time())}]
        write_json(self.path, {"format": FORMAT, "clients": clients}, mode=0o600)
        self._clients = clients
        self._used.add(key)
        return Paired(platform.node()[:200])

    def _forget_codes(self) -> None:
        now = time.monotonic()
        told = [(key, end) for key, end in self._codes.items() if now < end + TOLD_S]
        self._codes = dict(told[-MOST_CODES:])
        self._used &= set(self._codes)

    def _is_client(self, key: str) -> bool:
        return key == self.keys.client.public or any(client["public"] == key for client in self._clients)

    def _seen_address(self) -> str:
        """host:port by which others probably reach this machine."""
        host, _, port = self.address.rpartition(":")
        if host in ("0.0.0.0", "*", "[::]"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
                try:
                    outward.connect(("192.0.2.1", 9))     # sends nothing: it only chooses the way out
                    host = outward.getsockname()[0]
                except OSError:
                    host = platform.node() or "127.0.0.1"
        return f"{host}:{port}"
