# SPDX-License-Identifier: Apache-2.0
"""A coloured mesh as three .npy files in a folder: verts, faces, colors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

ARRAYS = {"verts": np.float32, "faces": np.int32, "colors": np.uint8}     # [any, 3] each


@dataclass(frozen=True)
class Mesh:
    verts: np.ndarray    # [V, 3] float32
    faces: np.ndarray    # [F, 3] int32
    colors: np.ndarray   # [V, 3] uint8


def check(mesh: Mesh) -> None:
    """Raise ValueError unless the arrays are a mesh that can be sent."""
    for name in ARRAYS:
        array = getattr(mesh, name)
        if array.ndim != 2 or array.shape[1] != 3:
            raise ValueError(f"{name} has shape {list(array.shape)}, [any, 3] expected.")
    if len(mesh.colors) != len(mesh.verts):
        raise ValueError(f"there are {len(mesh.colors)} colors for {len(mesh.verts)} verts.")
    if not np.isfinite(mesh.verts).all():
        raise ValueError("verts are not finite.")
    if len(mesh.faces) and not (mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.verts)):
        raise ValueError(f"faces point outside of the {len(mesh.verts)} verts.")


def write_mesh(folder: Path, mesh: Mesh) -> None:
    for name, dtype in ARRAYS.items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(getattr(mesh, name), dtype), allow_pickle=False)


def read_mesh(folder: Path) -> Mesh:
    """Raises OSError or ValueError if it is not (or no longer) there."""
    return Mesh(**{name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in ARRAYS})


def lod_path(snapshot: Path, max_triangles: int) -> Path:
    return snapshot / f"lod-{max_triangles}"
