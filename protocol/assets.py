# SPDX-License-Identifier: Apache-2.0
"""A finished mesh as Blender takes it, in an npz file (uncompressed, no pickles) among a finishing's results.

    run/finish.json          the figures (backend/finishing)
    run/<level>.npz          the mesh, for each level that finish.json names
    run/<level>_color.png    sRGB
    run/<level>_normal.png   tangent space, where it was wanted
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .arrays import Array
from .errors import bad
from .npz import StoredArrays

_DTYPES = {"rest_co": "float32", "rest_n": "float32", "faces": "int32", "uvs": "float32", "colors": "uint8",
           "place": "float32"}


@dataclass(frozen=True, eq=False)
class AssetMesh:
    """A mesh whose vertices know where they were on the reconstruction.

    rest_co [V,3] float32, in the reconstruction's own world; rest_n [V,3] float32, normals there; faces [F,3] int32;
    uvs [3F,2] float32, of the corners of each face in turn, v upwards; colors [V,3] uint8 sRGB, the texture at the
    vertices; place [4,4] float32: from there to the asset's own space, in metres, Z up, about its origin.
    """

    rest_co: np.ndarray
    rest_n: np.ndarray
    faces: np.ndarray
    uvs: np.ndarray
    colors: np.ndarray
    place: np.ndarray

    @property
    def positions(self) -> np.ndarray:
        """[V,3] float32 in the asset's own space."""
        place = self.place.astype(np.float64)
        return (self.rest_co @ place[:3, :3].T + place[:3, 3]).astype(np.float32)

    def check(self) -> None:
        """Raise ProtocolError unless everything fits together."""
        count, corners = len(self.rest_co), 3 * len(self.faces)
        for name, shape in (("rest_co", (None, 3)), ("rest_n", (count, 3)), ("faces", (None, 3)),
                            ("uvs", (corners, 2)), ("colors", (count, 3)), ("place", (4, 4))):
            values = getattr(self, name)
            Array(_DTYPES[name], shape).check(values.dtype.name, values.shape, f"asset.{name}")
            if not np.isfinite(values).all():
                raise bad(f"asset.{name}", "a number is not finite")
        if self.faces.size and not (self.faces.min() >= 0 and self.faces.max() < count):
            raise bad("asset.faces", f"a face points outside of the {count} vertices")

    def pack(self) -> bytes:
        """The bytes of the file."""
        stream = io.BytesIO()
        np.savez(stream, **{name: getattr(self, name) for name in _DTYPES})
        return stream.getvalue()

    @staticmethod
    def read(file: Path | str) -> "AssetMesh":
        """Read such a file. Raises ProtocolError: it cannot be read, or does not fit together."""
        with StoredArrays(file) as arrays:
            asset = AssetMesh(**{name: arrays.get(name, Array(dtype, (None, None)))
                                 for name, dtype in _DTYPES.items()})
        asset.check()
        return asset
