# SPDX-License-Identifier: Apache-2.0
"""Deformed surfaces that splats follow (spec extraction_evaluation_editing.md, 3.7): a rest surface, sent once for a
topology, and its poses; and a file of them for a whole animation. Both are npz files (uncompressed, no pickles).

    surface.npz     faces, rest_co, rest_ok, rest_n, src, part, replicate, flip
    animation.npz   format, numbers [N], surfaces [N], viewmats [N,4,4], Ks [N,3,3], size (height, width),
                    surface/K/<as above>, frame/N/positions, frame/N/matrices
"""

import hashlib
import io
import os
import zipfile
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from .arrays import Array
from .errors import bad
from .limits import MAX_PICTURE_SIDE, MAX_SURFACE_PARTS
from .npz import StoredArrays

FORMAT = 1
_NUMBERS = Array("int32", (None,))
_SURFACE = {"faces": ("int32", 2), "rest_co": ("float32", 2), "rest_ok": ("float32", 1), "rest_n": ("float32", 2),
            "src": ("int32", 1), "part": ("int32", 1), "replicate": ("uint8", 1), "flip": ("uint8", 1)}


@dataclass(frozen=True, eq=False)
class Surface:
    """The triangles of one or more objects, and where each vertex was on the reconstructed mesh.

    faces [F,3] int32; rest_co [V,3] float32, in the reconstruction's own world; rest_ok [V] float32, below 1 where
    geometry came in that has no rest position; rest_n [V,3] float32, normals at rest; src [F] int32, number of the
    reconstruction, 0 for none; part [F] int32, number of the object from 0; replicate [P] uint8, 1 if copies of a
    surface (Array, Mirror) have splats of their own; flip [P] uint8, 1 if the object was mirrored without its faces
    having been turned.
    """

    faces: np.ndarray
    rest_co: np.ndarray
    rest_ok: np.ndarray
    rest_n: np.ndarray
    src: np.ndarray
    part: np.ndarray
    replicate: np.ndarray
    flip: np.ndarray

    def check(self) -> None:
        """Raise ProtocolError unless everything fits together."""
        count, faces, parts = len(self.rest_co), len(self.faces), len(self.replicate)
        shapes = {"faces": ("int32", (None, 3)), "rest_co": ("float32", (None, 3)), "rest_ok": ("float32", (count,)),
                  "rest_n": ("float32", (count, 3)), "src": ("int32", (faces,)), "part": ("int32", (faces,)),
                  "replicate": ("uint8", (None,)), "flip": ("uint8", (parts,))}
        for name, (dtype, shape) in shapes.items():
            Array(dtype, shape).check(getattr(self, name).dtype.name, getattr(self, name).shape, f"surface.{name}")
        for name, limit in (("faces", count), ("part", parts)):
            values = getattr(self, name)
            if values.size and not (values.min() >= 0 and values.max() < limit):
                raise bad(f"surface.{name}", f"a number is outside of 0..{limit - 1}")
        if parts > MAX_SURFACE_PARTS:
            raise bad("surface.part", f"{parts} objects, at most {MAX_SURFACE_PARTS} are allowed")
        for name in ("rest_co", "rest_ok", "rest_n"):
            if not np.isfinite(getattr(self, name)).all():
                raise bad(f"surface.{name}", "a number is not finite")

    def pack(self) -> bytes:
        """The bytes of surface.npz; the same surface always gives the same."""
        stream = io.BytesIO()
        np.savez(stream, **{field.name: getattr(self, field.name) for field in fields(Surface)})
        return stream.getvalue()

    @cached_property
    def hash(self) -> str:
        """sha256 of `pack()`."""
        return hashlib.sha256(self.pack()).hexdigest()

    @staticmethod
    def read(file: Path | str | io.BytesIO) -> "Surface":
        """Read surface.npz. Raises ProtocolError: it cannot be read, or does not fit together."""
        with StoredArrays(file) as arrays:
            return _surface(arrays, "")


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a surface is: positions [V,3] float32 in each object's own space, matrices [P,4,4] float32 to the world."""

    positions: np.ndarray
    matrices: np.ndarray

    def check(self, surface: Surface) -> None:
        """Raise ProtocolError unless it is a pose of this surface."""
        Array("float32", (len(surface.rest_co), 3)).check(self.positions.dtype.name, self.positions.shape, "positions")
        Array("float32", (len(surface.flip), 4, 4)).check(self.matrices.dtype.name, self.matrices.shape, "matrices")
        if not (np.isfinite(self.positions).all() and np.isfinite(self.matrices).all()):
            raise bad("pose", "a number is not finite")

    @cached_property
    def hash(self) -> str:
        """sha256 of positions and matrices."""
        digest = hashlib.sha256(np.ascontiguousarray(self.positions).data)
        digest.update(np.ascontiguousarray(self.matrices).data)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of an animation: camera as in render.splats, viewmat [4,4] world to camera and K [3,3] in pixels."""

    number: int
    viewmat: np.ndarray
    K: np.ndarray
    surface: Surface
    pose: Pose


class AnimationWriter:
    """Writes animation.npz frame by frame; it appears under its name when `with` ends well."""

    def __init__(self, path: Path | str, size: tuple[int, int]):
        self.path, self.size = Path(path), size
        self._partial = self.path.with_name(self.path.name + ".partial")
        self._surfaces: dict[str, int] = {}
        self._rows: list[tuple] = []

    def __enter__(self) -> "AnimationWriter":
        self._zip = zipfile.ZipFile(self._partial, "w", zipfile.ZIP_STORED, allowZip64=True)
        return self

    def add(self, frame: Frame) -> None:
        key = self._surfaces.get(frame.surface.hash)
        if key is None:
            key = self._surfaces[frame.surface.hash] = len(self._surfaces)
            for field in fields(Surface):
                self._write(f"surface/{key}/{field.name}", getattr(frame.surface, field.name))
        at = len(self._rows)
        self._write(f"frame/{at}/positions", frame.pose.positions)
        self._write(f"frame/{at}/matrices", frame.pose.matrices)
        self._rows.append((frame.number, key, frame.viewmat, frame.K))

    def _write(self, name: str, values: np.ndarray) -> None:
        with self._zip.open(name + ".npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, np.ascontiguousarray(values), allow_pickle=False)

    def __exit__(self, failure, *_) -> None:
        try:
            if failure is None:
                rows = list(zip(*self._rows)) or [(), (), (), ()]
                self._write("format", np.array([FORMAT], np.int32))
                self._write("size", np.array(self.size, np.int32))
                self._write("numbers", np.array(rows[0], np.int32))
                self._write("surfaces", np.array(rows[1], np.int32))
                self._write("viewmats", np.array(rows[2], np.float32).reshape(-1, 4, 4))
                self._write("Ks", np.array(rows[3], np.float32).reshape(-1, 3, 3))
            self._zip.close()
            if failure is None:
                os.replace(self._partial, self.path)
        finally:
            self._partial.unlink(missing_ok=True)


class Animation:
    """An animation.npz that is read frame by frame: len(), animation[i]. Raises ProtocolError where it is damaged.

    size: (height, width) of its pictures; numbers: the frames' numbers.
    """

    def __init__(self, path: Path | str):
        self._arrays = arrays = StoredArrays(path)
        if arrays.get("format", _NUMBERS).tolist() != [FORMAT]:
            raise bad(str(path), f"it is no animation of format {FORMAT}")
        self.size = tuple(arrays.get("size", Array("int32", (2,))).tolist())
        if not all(1 <= side <= MAX_PICTURE_SIDE for side in self.size):
            raise bad("animation.size", f"pictures may have 1 to {MAX_PICTURE_SIDE} pixels a side")
        self.numbers = arrays.get("numbers", _NUMBERS).tolist()
        count = len(self.numbers)
        self._surfaces = arrays.get("surfaces", Array("int32", (count,))).tolist()
        self._viewmats = arrays.get("viewmats", Array("float32", (count, 4, 4)))
        self._Ks = arrays.get("Ks", Array("float32", (count, 3, 3)))
        if not (np.isfinite(self._viewmats).all() and np.isfinite(self._Ks).all()):
            raise bad("animation", "a camera is not finite")
        self._held: tuple[int, Surface] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, at: int) -> Frame:
        key = self._surfaces[at]
        if self._held is None or self._held[0] != key:
            self._held = key, _surface(self._arrays, f"surface/{key}/")
        surface = self._held[1]
        pose = Pose(self._arrays.get(f"frame/{at}/positions", Array("float32", (None, 3))),
                    self._arrays.get(f"frame/{at}/matrices", Array("float32", (None, 4, 4))))
        pose.check(surface)
        return Frame(self.numbers[at], self._viewmats[at], self._Ks[at], surface, pose)

    def close(self) -> None:
        self._arrays.close()

    def __enter__(self) -> "Animation":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _surface(arrays: StoredArrays, prefix: str) -> Surface:
    surface = Surface(**{name: arrays.get(prefix + name, Array(dtype, (None,) * axes))
                         for name, (dtype, axes) in _SURFACE.items()})
    surface.check()
    return surface
