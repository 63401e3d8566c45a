# SPDX-License-Identifier: Apache-2.0
"""What the fields of messages are made of, each with its checks (schema.py), and the registry of messages.

Lists come out as tuples. Matrices are row-major tuples of numbers: K [9] in pixels (the centre of the first pixel is
0.5), viewmat [16] from the world to a camera that looks along +z, y down.
"""

from typing import Annotated

import numpy as np

from .arrays import Array
from .limits import (
    MAX_BLOB_BYTES,
    MAX_CHUNK_BYTES,
    MAX_COUNT,
    MAX_HASHES,
    MAX_IMAGE_SIDE,
    MAX_JOB_ID,
    MAX_NAME,
    MAX_PICTURE_SIDE,
    MAX_TEXT,
    MAX_WAIT_S,
)
from .schema import Integer, List, Maybe, Number, Record, RelativePath, Text

COUNT = Integer(0, MAX_COUNT)
HASH = Text(64, "[0-9a-f]{64}")
JOB_ID = Text(MAX_JOB_ID, "[0-9a-z][0-9a-z-]*")

JobId = Annotated[str, JOB_ID]
Name = Annotated[str, Text(MAX_NAME)]
Sentence = Annotated[str, Text(MAX_TEXT)]
Hash = Annotated[str, HASH]                                    # sha256, 64 hexadecimal digits in lower case
Hashes = Annotated[tuple[str, ...], List(HASH, MAX_HASHES)]
Path = Annotated[str, RelativePath()]
Count = Annotated[int, COUNT]
BlobSize = Annotated[int, Integer(0, MAX_BLOB_BYTES)]
Wait = Annotated[float, Number(0.0, MAX_WAIT_S)]               # seconds
Figure = Annotated[float | None, Maybe(Number())]
Matrix3 = Annotated[tuple[float, ...], List(Number(), 9, 9)]
Matrix4 = Annotated[tuple[float, ...], List(Number(), 16, 16)]
ImageSide = Annotated[int, Integer(1, MAX_IMAGE_SIDE)]
PictureSide = Annotated[int, Integer(1, MAX_PICTURE_SIDE)]
Data = Annotated[np.ndarray, Array("uint8", (None,), max_bytes=MAX_CHUNK_BYTES)]

MESSAGES: dict[str, Record] = {}     # by the name on the wire
TYPES: dict[type, str] = {}


def message(name: str, open: bool = False):
    """Enter a dataclass into the registry. `open` messages ignore unknown fields: those of the handshake."""
    def enter(cls):
        MESSAGES[name] = Record(cls, open=open)
        TYPES[cls] = name
        return cls
    return enter
