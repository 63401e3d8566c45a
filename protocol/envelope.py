# SPDX-License-Identifier: Apache-2.0
"""Messages as multipart frames: frame 0 a msgpack envelope {v, id, type, body, arrays}, frames 1..n the arrays' bytes.

`unpack` takes anything a stranger may send: it raises ProtocolError and nothing else, and allocates in the order of
the size of what came. msgpack alone would not: a few kilobytes of nested headers make it allocate gigabytes; so `scan`
walks the bytes first.
"""

from typing import Any

import msgpack

from .arrays import pack_array, unpack_array
from .errors import ProtocolError, bad
from .limits import (
    MAX_ARRAYS,
    MAX_COUNT,
    MAX_ENVELOPE_BYTES,
    MAX_ENVELOPE_DEPTH,
    MAX_ENVELOPE_ITEMS,
    PROTOCOL_VERSION,
)
from .messages import MESSAGES, TYPES

_KEYS = {"v", "id", "type", "body", "arrays"}
_HANDSHAKE = ("hello", "welcome", "error")     # readable whatever the version, so that a refusal can be read


def pack(message: Any, request_id: int, codec: str = "raw") -> list[bytes | memoryview]:
    """The frames of a message. A reply carries the id of its request.

    codec: "raw", or "zlib" to compress the arrays where that makes them smaller (pictures over a slow link).
    Raises ProtocolError for a message that the other side would refuse.
    """
    kind = TYPES.get(type(message))
    if kind is None:
        raise bad("type", f"{type(message).__name__} is not a message")
    record = MESSAGES[kind]
    body = record.write(message, kind)
    present = [(name, array) for name, array in record.arrays.items()
               if not (array.optional and getattr(message, name) is None)]
    packed = [pack_array(name, array, getattr(message, name), codec) for name, array in present]
    if hasattr(message, "check"):
        message.check()
    head = msgpack.packb({"v": PROTOCOL_VERSION, "id": request_id, "type": kind, "body": body,
                          "arrays": [descriptor for descriptor, _ in packed]})
    if len(head) > MAX_ENVELOPE_BYTES:
        raise bad(kind, f"{len(head)} bytes without the arrays, at most {MAX_ENVELOPE_BYTES} are allowed")
    return [head, *(frame for _, frame in packed)]


def unpack(frames) -> tuple[int, Any]:
    """(request id, message) of received frames (bytes or memoryviews). Arrays are read-only views of them.

    Raises ProtocolError, with `request_id` where it could be read.
    """
    if not 1 <= len(frames) <= 1 + MAX_ARRAYS:
        raise bad("message", f"{len(frames)} frames, 1 to {1 + MAX_ARRAYS} are allowed")
    head = _read_head(frames[0])
    try:
        return head["id"], _read_message(head, frames[1:])
    except ProtocolError as error:
        error.request_id = head["id"]
        raise


def _read_head(frame) -> dict:
    if len(frame) > MAX_ENVELOPE_BYTES:
        raise bad("envelope", f"{len(frame)} bytes, at most {MAX_ENVELOPE_BYTES} are allowed")
    data = bytes(frame)
    scan(data)
    try:
        head = msgpack.unpackb(data, raw=False, strict_map_key=True)
    except Exception as error:   # text that is not UTF-8, keys that are numbers
        raise bad("envelope", f"not readable ({type(error).__name__})") from None
    if not isinstance(head, dict) or not set(head) >= _KEYS:
        raise bad("envelope", "must be a table with v, id, type, body and arrays")
    if type(head["id"]) is not int or not 0 <= head["id"] <= MAX_COUNT:
        raise bad("envelope.id", "must be a whole number")
    return head


def _read_message(head: dict, frames) -> Any:
    kind, arrays, version = head["type"], head["arrays"], head["v"]
    if version != PROTOCOL_VERSION and kind not in _HANDSHAKE:
        raise mismatch(version)
    if version == PROTOCOL_VERSION and set(head) != _KEYS:
        raise bad("envelope", "has unknown fields")
    record = MESSAGES.get(kind) if isinstance(kind, str) else None
    if record is None:
        raise bad("envelope.type", "this protocol has no such message")
    fields = record.fields(head["body"], kind)
    if not isinstance(arrays, list) or len(arrays) != len(frames):
        raise bad("envelope.arrays", f"must describe the {len(frames)} frames that follow")
    for descriptor, frame in zip(arrays, frames):
        name, value = unpack_array(descriptor, frame, record.arrays)
        if name in fields:
            raise bad("envelope.arrays", f"{name} comes twice")
        fields[name] = value
    for name, array in record.arrays.items():
        if name not in fields and not array.optional:
            raise bad(kind, f"the array {name!r} is missing")
    message = record.cls(**fields)
    if hasattr(message, "check"):
        message.check()
    return message


def mismatch(theirs: Any) -> ProtocolError:
    """The refusal of another version of the protocol, readable in a panel."""
    theirs = theirs if type(theirs) is int else "an unknown one"
    return ProtocolError(
        "version_mismatch",
        f"The Blender extension and the backend speak different versions of their protocol "
        f"({PROTOCOL_VERSION} and {theirs}).",
        "Install the same version of both.")


# First bytes of msgpack: what follows. Containers and what this protocol never sends are handled below.
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8,
          0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_TEXT = {0xD9: 1, 0xDA: 2, 0xDB: 4}                                      # width of the length
_CONTAINER = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}    # width of the count, items for each


def scan(data: bytes) -> None:
    """Walk a msgpack value without building anything.

    Refuses what is truncated, nests too deep, holds too many values, or holds types that this protocol never sends
    (raw bytes, extensions): what passes is complete, so that every count in it is true and decoding it is safe.
    """
    end, at, items = len(data), 0, 0
    waiting: list[int] = []     # values still to come in each open container
    left = 1
    while True:
        while left == 0:
            if not waiting:
                if at != end:
                    raise bad("envelope", "has bytes after its end")
                return
            left = waiting.pop()
        left -= 1
        if at >= end:
            raise bad("envelope", "is truncated")
        first = data[at]
        at += 1
        items += 1
        if first < 0x80 or first >= 0xE0:
            continue
        inside = -1
        if first < 0x90:
            inside = 2 * (first & 0x0F)
        elif first < 0xA0:
            inside = first & 0x0F
        elif first < 0xC0:
            at += first & 0x1F
        elif first in _FIXED:
            at += _FIXED[first]
        elif first in _TEXT:
            width = _TEXT[first]
            at += width + int.from_bytes(data[at:at + width], "big")
        elif first in _CONTAINER:
            width, each = _CONTAINER[first]
            inside = each * int.from_bytes(data[at:at + width], "big")
            at += width
        else:
            raise bad("envelope", f"holds a value of a kind (0x{first:02x}) that is never sent")
        if at > end:
            raise bad("envelope", "is truncated")
        if inside >= 0:
            if items + inside > MAX_ENVELOPE_ITEMS:
                raise bad("envelope", f"holds more than {MAX_ENVELOPE_ITEMS} values")
            waiting.append(left)
            left = inside
            if len(waiting) > MAX_ENVELOPE_DEPTH:
                raise bad("envelope", "is nested too deep")
