# SPDX-License-Identifier: GPL-3.0-or-later
"""Getting let in by a backend on another computer, once, with the code it has printed. On a thread of its own.

The key that is let in is made here and never leaves this computer.
"""

from __future__ import annotations

import platform
import re

import zmq
from zmq.utils import z85

from ..protocol.pairing import Pair, PairingCode, read_code
from .client import Client
from .endpoint import Endpoint, is_loopback
from .errand import Errand
from .problems import NoBackend, Problem, WrongKey

PATIENCE_S = 15.0
ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5}")


class Pairing(Errand):
    """An attempt to pair.

    Attributes, written by its thread:
        result: (how to connect from now on, the name of the backend's computer), or None.
        problem: why it failed, or None while it goes on.
    """

    def __init__(self, text: str, address: str, version: str, online: bool):
        """Begin.

        Args:
            text: the pasted code.
            address: host:port where it differs from the code's, else "".
            version: of the extension.
            online: whether Blender may talk to other computers.

        Raises:
            Problem: the code or the address is not one, or the address is not to be used.
        """
        try:
            code = read_code(text)
        except ValueError as error:
            raise Problem(str(error), "On the backend's computer, `milo pair` prints one.") from None
        self.address = address.removeprefix("tcp://") or code.address
        if not ADDRESS.fullmatch(self.address):
            raise Problem(f'"{self.address}" is no address.', "Write host:port, for example gpu.example.org:5555.")
        if not is_loopback(f"tcp://{self.address}") and not online:
            raise Problem(
                f"{self.address} is another computer, and Blender is not allowed to go online.",
                "Allow Online Access in Preferences > System > Network.",
            )
        super().__init__("pairing", lambda: self._pair(code, version))

    def _pair(self, code: PairingCode, version: str) -> tuple[Endpoint, str]:
        address, server_key = f"tcp://{self.address}", z85.encode(code.server_key).decode()
        mine = [key.decode() for key in zmq.curve_keypair()]
        once = z85.encode(code.client_secret)
        client = Client(Endpoint(address, server_key, zmq.curve_public(once).decode(), once.decode(), 0, ""), version)
        try:
            paired = client.request(Pair(mine[0], platform.node()[:200]), PATIENCE_S).result()
            return Endpoint(address, server_key, *mine, pid=0, version=version, remote=True), paired.name
        except WrongKey:
            raise Problem(
                f"The backend at {self.address} does not know this pairing code.",
                "A code is good for one backend, until that ends: on its computer, `milo pair` prints a new one.",
            ) from None
        except NoBackend as nobody:
            raise Problem(nobody.message, "Is it running, and its port open in the firewall?") from None
        finally:
            client.close()
