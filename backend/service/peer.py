# SPDX-License-Identifier: Apache-2.0
"""Who asked: a client's routing id and the id of its request, which every reply goes back to."""

from __future__ import annotations

from typing import NamedTuple


class Peer(NamedTuple):
    client: bytes
    request_id: int
