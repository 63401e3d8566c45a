# SPDX-License-Identifier: Apache-2.0
"""Scales a binary COLMAP model in place: translations of cameras and positions of points, nothing else."""

from __future__ import annotations

import struct
from pathlib import Path

from .errors import SceneError

_COUNT, _TRANSLATION, _POSITION = struct.Struct("<Q"), struct.Struct("<3d"), struct.Struct("<3d")


def scale_model(model: Path, factor: float) -> None:
    """Multiply every length in `model` (images.bin, points3D.bin) by `factor`.

    Raises:
        SceneError: the model is not binary, is damaged, or has rigs, whose poses stand elsewhere.
    """
    images, points = model / "images.bin", model / "points3D.bin"
    if not (images.is_file() and points.is_file()) or (model / "frames.bin").exists():
        raise SceneError(model, "this is not a model that `milo align` wrote", "Align the photos again")
    try:
        scaled = {images: _scaled_images(images, factor), points: _scaled_points(points, factor)}
    except (struct.error, ValueError):
        raise SceneError(model, "the model is truncated or damaged", "Align the photos again") from None
    for path, data in scaled.items():
        path.with_name(f".{path.name}").write_bytes(data)
    for path in scaled:
        path.with_name(f".{path.name}").replace(path)


def _scaled_images(path: Path, factor: float) -> bytearray:
    data = bytearray(path.read_bytes())
    count, = _COUNT.unpack_from(data)
    at = _COUNT.size
    for _ in range(count):
        at += 4 + 4 * 8                                         # id, quaternion
        _scale(data, at, _TRANSLATION, factor)
        at = data.index(0, at + 3 * 8 + 4) + 1                  # translation, camera, name
        at += _COUNT.size + 24 * _COUNT.unpack_from(data, at)[0]   # 2D points
    return data


def _scaled_points(path: Path, factor: float) -> bytearray:
    data = bytearray(path.read_bytes())
    count, = _COUNT.unpack_from(data)
    at = _COUNT.size
    for _ in range(count):
        _scale(data, at + 8, _POSITION, factor)
        at += 8 + 3 * 8 + 3 + 8                                 # id, position, colour, error
        at += _COUNT.size + 8 * _COUNT.unpack_from(data, at)[0]    # track
    return data


def _scale(data: bytearray, at: int, record: struct.Struct, factor: float) -> None:
    record.pack_into(data, at, *(factor * value for value in record.unpack_from(data, at)))
