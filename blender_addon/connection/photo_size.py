# SPDX-License-Identifier: GPL-3.0-or-later
"""How many photos there are and how large, by a look at the first bytes of some."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .problems import Problem
from .upload import PHOTOS, photo_paths, scene_paths

LOOKED_AT = 12  # of the photos, evenly chosen
NOT_PHOTOS = ("masks/", "depths/", "sparse/")


@dataclass(frozen=True)
class Photos:
    """So many, the largest of those that were looked at so large (in pixels, as the file lies)."""

    count: int
    width: int
    height: int


def count(find: Callable[[], Sequence[Path]]) -> Photos:
    """Look at the photos that `find` gives. Raises Problem."""
    try:
        return look_at(find())
    except OSError as error:
        raise Problem(f"{error.filename or 'A photo'} cannot be read: {error.strerror}.") from error


def of_scene(folder: Path) -> list[Path]:
    """The photos of a scene folder. Raises Problem."""
    paths = [path for path in scene_paths(folder) if Path(path).suffix.lower() in PHOTOS]
    inside = [path for path in paths if path.startswith("images/")]
    return [folder / path for path in inside or (path for path in paths if not path.startswith(NOT_PHOTOS))]


def of_photos(folder: Path) -> list[Path]:
    """The photos of a folder without cameras. Raises Problem."""
    return [path for name, path in photo_paths(folder).items() if name.startswith("images/")]


def look_at(photos: Sequence[Path]) -> Photos:
    """Raises Problem if none of them can be read."""
    step = max(1, len(photos) // LOOKED_AT)
    sizes = [size for size in map(size_of, photos[::step]) if size]
    if not sizes:
        raise Problem("The size of these photos cannot be told.")
    return Photos(len(photos), *max(sizes, key=lambda size: size[0] * size[1]))


def size_of(path: Path) -> tuple[int, int] | None:
    """(width, height) of an image file in pixels, None if that is not to be read from its beginning."""
    with path.open("rb") as file:
        try:
            width, height = _size(file) or (0, 0)
        except struct.error:  # it is cut off
            return None
    return (width, height) if width > 0 and height > 0 else None


def _size(file: BinaryIO) -> tuple[int, int] | None:
    head = file.read(30)
    if len(head) == 30:
        if head.startswith(b"\x89PNG"):
            return struct.unpack(">II", head[16:24])
        if head.startswith(b"\xff\xd8"):
            return _jpeg(file)
        if head.startswith(b"BM"):
            width, height = struct.unpack("<ii", head[18:26])
            return width, abs(height)
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return _webp(head)
        if head[:4] in (b"II*\0", b"MM\0*"):
            return _tiff(file, "<" if head[:2] == b"II" else ">")
    return None


def _jpeg(file: BinaryIO) -> tuple[int, int] | None:
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF:
        kind, length = head[1], struct.unpack(">H", head[2:])[0]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # the frame, whatever its coding
            frame = file.read(5)
            height, width = struct.unpack(">HH", frame[1:])
            return width, height
        file.seek(length - 2, 1)
    return None


def _webp(head: bytes) -> tuple[int, int] | None:
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if head[12:16] == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(file: BinaryIO, order: str) -> tuple[int, int] | None:
    file.seek(4)
    file.seek(struct.unpack(order + "I", file.read(4))[0])
    count = struct.unpack(order + "H", file.read(2))[0]
    values = {}
    for _ in range(min(count, 100)):
        entry = file.read(12)
        tag, kind = struct.unpack(order + "HH", entry[:4])
        values[tag] = struct.unpack(order + ("H" if kind == 3 else "I"), entry[8:10] if kind == 3 else entry[8:])[0]
    return (values[256], values[257]) if 256 in values and 257 in values else None
