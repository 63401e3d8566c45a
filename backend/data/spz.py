# SPDX-License-Identifier: Apache-2.0
"""SPZ files: Gaussians in about a tenth of their PLY's size (Niantic's format, version 3).

A gzip stream: 16 bytes of header, then each attribute of all Gaussians in turn. The file's axes are right, up, back;
those of a PLY are taken as right, down, front, as converters do, so that a viewer shows both files alike.
"""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np

from .errors import SceneError
from .ply import SplatColumns

MAGIC, VERSION = 0x5053474E, 3
_HEADER = struct.Struct("<IIIBBBB")   # magic, version, count, degree, fractional bits, flags, reserved
_MOST = 1 << 28                       # Gaussians that a file may claim to hold
FRACTION = 12                         # bits of a position behind the point, if its range allows
COLOR = 0.15                          # of sh_dc, about 0.5
LARGEST = (1 << 9) - 1                # of a quaternion's component, times sqrt(2)
# Signs of the harmonics' basis when y and z change theirs.
_SIGNS = np.array([-1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1], np.float32)


class SpzError(SceneError):
    """A file that is not a readable SPZ."""


def write_spz(path: str | Path, splats: SplatColumns) -> None:
    """Write Gaussians. What the format has no room for is left out: the 3D filter (apply it before) and occupancies.

    Steps: positions 2^-12 units, or coarser where they lie beyond 2,048; logarithms of sizes 1/16; opacities 1/255;
    sh_dc 1/38; harmonics 1/16 (degree 1) and 1/8 in [-1, 1].

    Raises:
        ValueError: there are positions that are not finite, or beyond the range of the format.
    """
    count, degree = len(splats.means), min(splats.sh_degree, 3)
    means = splats.means.astype(np.float64) * [1, -1, -1]
    largest = float(np.abs(means).max()) if count else 0.0
    if not largest < 2.0 ** 23 - 1:
        raise ValueError("means: not finite, or beyond what an SPZ file holds (8,388,607 units).")
    bits = next(bits for bits in range(FRACTION, -1, -1) if largest * 2 ** bits < 2 ** 23 - 1)
    fixed = np.rint(means * 2 ** bits).astype("<i4")
    positions = fixed[..., None].view(np.uint8)[..., :3]
    opacity = 1 / (1 + np.exp(-splats.opacities.astype(np.float64)))
    rest = (degree + 1) ** 2 - 1
    parts = [
        _HEADER.pack(MAGIC, VERSION, count, degree, bits, 0, 0),
        positions.tobytes(),
        _bytes(opacity * 255),
        _bytes((splats.sh_dc * COLOR + 0.5) * 255),
        _bytes((splats.scales + 10) * 16),
        _smallest_three(splats.quats).tobytes(),
        _harmonics(splats.sh_rest[:, :rest] * _SIGNS[:rest, None]),
    ]
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(gzip.compress(b"".join(parts), mtime=0))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_spz(path: str | Path) -> SplatColumns:
    """Read Gaussians of a version 3 file.

    Raises:
        SpzError: the file is missing, damaged or of another version.
    """
    path = Path(path)
    try:
        with gzip.open(path) as file:
            head = file.read(_HEADER.size)
            magic, version, count, degree, bits, _, _ = _HEADER.unpack(head)
            if magic != MAGIC or version != VERSION or degree > 3 or count > _MOST:
                raise SpzError(path, f"this is not an SPZ file of version {VERSION}", "Convert it again")
            rest = (degree + 1) ** 2 - 1
            widths = (9, 1, 3, 3, 4, 3 * rest)
            body = file.read(count * sum(widths) + 1)
    except FileNotFoundError:
        raise SpzError(path, "there is no such file", "Check the path") from None
    except (OSError, EOFError, struct.error) as error:
        raise SpzError(path, f"this is not a readable SPZ file ({error})", "Export it again") from error
    if len(body) < count * sum(widths):
        raise SpzError(path, "the file is truncated", "Export it again")
    columns, at = [], 0
    for width in widths:
        columns.append(np.frombuffer(body, np.uint8, count * width, at).reshape(count, width))
        at += count * width
    positions, opacity, colors, scales, quats, harmonics = columns
    padded = np.zeros((count, 3, 4), np.uint8)
    padded[..., 1:] = positions.reshape(count, 3, 3)
    means = (padded.view("<i4")[..., 0] >> 8) / 2.0 ** bits * [1, -1, -1]
    share = (opacity[:, 0].astype(np.float64) / 255).clip(0.5 / 255, 1 - 0.5 / 255)
    sh_rest = (harmonics.reshape(count, rest, 3).astype(np.float32) - 128) / 128 * _SIGNS[:rest, None]
    return SplatColumns(
        means=means.astype(np.float32),
        sh_dc=((colors.astype(np.float32) / 255 - 0.5) / COLOR).astype(np.float32),
        sh_rest=sh_rest.astype(np.float32),
        opacities=np.log(share / (1 - share)).astype(np.float32),
        scales=(scales.astype(np.float32) / 16 - 10),
        quats=_from_smallest_three(np.ascontiguousarray(quats).view("<u4")[:, 0]),
    )


def _bytes(values: np.ndarray) -> bytes:
    return np.rint(values).clip(0, 255).astype(np.uint8).tobytes()


def _harmonics(sh_rest: np.ndarray) -> bytes:
    """Coefficients [N, K-1, 3] as bytes about 128, rounded to 5 bits (degree 1) or 4, so that they compress well."""
    step = np.where(np.arange(sh_rest.shape[1]) < 3, 8, 16)[:, None]
    return _bytes(np.rint((sh_rest * 128 + 128) / step) * step)


def _smallest_three(quats: np.ndarray) -> np.ndarray:
    """Rotations (w, x, y, z) [N, 4] of PLY axes as uint32: the place of the largest component in the upper 2 bits, then
    the others in turn, 1 bit of sign and 9 of size each. The order in the file is x, y, z, w."""
    q = quats[:, [1, 2, 3, 0]].astype(np.float64) * [1, -1, -1, 1]
    length = np.linalg.norm(q, axis=1, keepdims=True)
    q = np.where(length > 0, q / np.maximum(length, 1e-300), [0, 0, 0, 1.0])
    largest = np.abs(q).argmax(1)
    q = q * np.where(np.take_along_axis(q, largest[:, None], 1) < 0, -1, 1)
    packed = largest.astype(np.uint32)
    for place in range(4):
        size = np.rint(np.abs(q[:, place]) * np.sqrt(2) * LARGEST).clip(0, LARGEST).astype(np.uint32)
        with_next = (packed << 10) | ((q[:, place] < 0).astype(np.uint32) << 9) | size
        packed = np.where(largest == place, packed, with_next).astype(np.uint32)
    return packed.astype("<u4")


def _from_smallest_three(packed: np.ndarray) -> np.ndarray:
    largest = packed >> 30
    q = np.zeros((len(packed), 4))
    left = packed.copy()
    for place in range(3, -1, -1):
        value = (left & LARGEST) / (LARGEST * np.sqrt(2)) * np.where(left >> 9 & 1, -1, 1)
        other = largest != place
        q[other, place] = value[other]
        left = np.where(other, left >> 10, left).astype(np.uint32)
    q[np.arange(len(q)), largest] = np.sqrt((1 - (q * q).sum(1)).clip(0))
    return (q * [1, -1, -1, 1])[:, [3, 0, 1, 2]].astype(np.float32)
