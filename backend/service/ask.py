# SPDX-License-Identifier: Apache-2.0
"""One question to the server that runs on this computer, for the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import zmq

from milo.protocol import ProtocolError, pack, unpack
from milo.protocol.messages import Error

PATIENCE_MS = 5_000


def ask_server(home: Path, question: Any) -> Any:
    """The answer of the server with this home folder.

    Raises:
        ProtocolError: no server runs there, or it refuses.
    """
    none_there = ProtocolError("not_ready", f"No backend runs with the folder {home}.",
                               "Start one: milo serve --host 0.0.0.0 --port 5555")
    try:
        keys = json.loads((home / "connection.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise none_there from None
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.curve_serverkey = keys["server_key"].encode()
        dealer.curve_publickey = keys["client_public"].encode()
        dealer.curve_secretkey = keys["client_secret"].encode()
        dealer.connect(keys["address"])
        dealer.send_multipart(pack(question, 1))
        if not dealer.poll(PATIENCE_MS):
            raise none_there
        answer = unpack(dealer.recv_multipart())[1]
    if isinstance(answer, Error):
        raise answer.to_exception()
    return answer
