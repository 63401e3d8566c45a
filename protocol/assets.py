# SPDX-License-Identifier: Apache-2.0
"""A finished mesh as Blender takes it, in an npz file (uncompressed, no pickles) among a finishing's results.

    run/finish.json          the figures (backend/finishing)
    run/<level>.npz          the mesh, for each level that finish.json names
    run/<level>_color.png    sRGB
    run/<level>_normal.png   tangent space, where it was wanted
"""

import io
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from .arrays import Array
from .errors import bad
from .npz import StoredArrays


@dataclass(frozen=True, eq=False)
class AssetMesh:
    """A mesh whose vertices know where they were on the reconstruction.

    positions [V,3] float32, in its place; rest_co [V,3] float32, in the reconstruction's own world; rest_n [V,3]
    float32, normals there; faces [F,3] int32; uvs [3F,2] float32, of the corners of each face in turn, v upwards;
    origin [3] float32: what the choice of an origin has moved the positions by.
    """

    positions: np.ndarray
    rest_co: np.ndarray
    rest_n: np.ndarray
    faces: np.ndarray
    uvs: np.ndarray
    origin: np.ndarray

    def check(self) -> None:
        """Raise ProtocolError unless everything fits together."""
        count, corners = len(self.positions), 3 * len(self.faces)
        shapes = {"positions": (None, 3), "rest_co": (count, 3), "rest_n": (count, 3), "uvs": (corners, 2),
                  "origin": (3,)}
        for name, shape in shapes.items():
            values = getattr(self, name)
            Array("float32", shape).check(values.dtype.name, values.shape, f"asset.{name}")
            if not np.isfinite(values).all():
                raise bad(f"asset.{name}", "a number is not finite")
        Array("int32", (None, 3)).check(self.faces.dtype.name, self.faces.shape, "asset.faces")
        if self.faces.size and not (self.faces.min() >= 0 and self.faces.max() < count):
            raise bad("asset.faces", f"a face points outside of the {count} vertices")

    def pack(self) -> bytes:
        """The bytes of the file."""
        stream = io.BytesIO()
        np.savez(stream, **{field.name: getattr(self, field.name) for field in fields(AssetMesh)})
        return stream.getvalue()

    @staticmethod
    def read(file: Path | str) -> "AssetMesh":
        """Read such a file. Raises ProtocolError: it cannot be read, or does not fit together."""
        with StoredArrays(file) as arrays:
            asset = AssetMesh(**{
                field.name: arrays.get(field.name, Array("int32" if field.name == "faces" else "float32",
                                                         (None,) if field.name == "origin" else (None, None)))
                for field in fields(AssetMesh)})
        asset.check()
        return asset
