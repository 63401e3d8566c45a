# SPDX-License-Identifier: Apache-2.0
"""What Blender and the backend say to each other: messages, their frames, their limits. numpy and msgpack only.

    frames = pack(NextMesh(job, after=3), request_id=7)
    request_id, message = unpack(frames)        # ProtocolError and nothing else, whatever came
"""

from . import outlook, pairing, photos, stored  # enter their messages
from .envelope import mismatch, pack, unpack
from .errors import CODES, ProtocolError
from .limits import PROTOCOL_VERSION

__all__ = ["CODES", "PROTOCOL_VERSION", "ProtocolError", "mismatch", "outlook", "pack", "pairing", "photos",
           "stored", "unpack"]
