# SPDX-License-Identifier: Apache-2.0
"""Who asked: a client's routing id and the id of its request, which every reply goes back to, and its key."""

from __future__ import annotations

from typing import NamedTuple


class Peer(NamedTuple):
    client: bytes
    request_id: int
    key: str = ""     # CURVE public key, Z85, as the handshake has proved it
