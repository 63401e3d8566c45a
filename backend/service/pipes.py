# SPDX-License-Identifier: Apache-2.0
"""Multipart messages of the protocol over a pipe: a count, then each frame after its length (little-endian 64 bits)."""

from __future__ import annotations

import struct
from typing import IO

_MAX_FRAMES = 16
_MAX_FRAME_BYTES = 1 << 30


def write_frames(pipe: IO[bytes], frames) -> None:
    pipe.write(struct.pack("<Q", len(frames)))
    for frame in frames:
        pipe.write(struct.pack("<Q", len(frame)))
        pipe.write(frame)
    pipe.flush()


def read_frames(pipe: IO[bytes]) -> list[bytes] | None:
    """The next message, None at the end of the pipe.

    Raises ValueError if it is not one.
    """
    count = _number(pipe)
    if count is None:
        return None
    if count > _MAX_FRAMES:
        raise ValueError(f"a message of {count} frames")
    frames = []
    for _ in range(count):
        size = _number(pipe)
        if size is None or size > _MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {size} bytes")
        frame = pipe.read(size)
        if len(frame) != size:
            raise ValueError("a frame is cut off")
        frames.append(frame)
    return frames


def _number(pipe: IO[bytes]) -> int | None:
    data = pipe.read(8)
    return struct.unpack("<Q", data)[0] if len(data) == 8 else None
