# SPDX-License-Identifier: Apache-2.0
"""How a client that has no key yet gets in: once, by a code that the backend prints and a person pastes.

The code holds the backend's own public key, so that nobody can pose as the backend, and a secret of 128 random bits
from which both sides derive a pair of CURVE keys. Whoever connects with that pair may say `pair` and nothing else; the
key that it brings along, made on its own computer, is let in from then on. A code serves once, and not for long.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Annotated

from .fields import Name, message
from .schema import Number, Text

PAIRING_S = 900.0     # how long a code is good for
_CODE = re.compile(r"milo://((?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5})/([A-Za-z0-9_-]+)")
_SECRET_BYTES, _CHECK_BYTES = 16, 3


@dataclass(frozen=True)
class PairingCode:
    """What the text milo://host:port/... says."""

    address: str          # host:port, as the backend believes that others see it
    server_key: bytes     # CURVE public key, 32 bytes
    secret: bytes         # 16 bytes

    @property
    def client_secret(self) -> bytes:
        """The CURVE secret key, 32 bytes, with which to connect for the pairing."""
        return hashlib.sha256(b"MILo pairing" + self.secret).digest()

    @property
    def text(self) -> str:
        """For people to copy: 68 characters after the address."""
        known = self.server_key + self.secret
        return f"milo://{self.address}/{base64.urlsafe_b64encode(known + _check(known)).decode()}"


def read_code(text: str) -> PairingCode:
    """The code in a text, which may have other words around it.

    Raises:
        ValueError: there is none, or a part of it is missing.
    """
    found = _CODE.search(text)
    if found is None:
        raise ValueError("This is not a pairing code: it begins with milo://")
    try:
        data = base64.urlsafe_b64decode(found[2])
    except ValueError:
        data = b""
    known, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    if len(known) != 32 + _SECRET_BYTES or check != _check(known):
        raise ValueError("This pairing code is not complete: copy all of it.")
    return PairingCode(found[1], known[:32], known[32:])


def _check(known: bytes) -> bytes:
    return hashlib.sha256(known).digest()[:_CHECK_BYTES]


@message("pair.open")
@dataclass(frozen=True, slots=True)
class OpenPairing:
    """Make a new code; only the local client may. Answer: OpenedPairing."""
    address: Annotated[str, Text(300, r"((\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5})?")] = ""   # "": guessed


@message("pair.code")
@dataclass(frozen=True, slots=True)
class OpenedPairing:
    code: Name
    valid_s: Annotated[float, Number(0.0)]


@message("pair")
@dataclass(frozen=True, slots=True)
class Pair:
    """Let this key in from now on. Only for who has connected by a code's keys. Answer: Paired."""
    public: Annotated[str, Text(40, r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")]     # CURVE, Z85
    name: Name                                                                         # of the client's computer


@message("paired")
@dataclass(frozen=True, slots=True)
class Paired:
    name: Name                      # of the backend's computer
