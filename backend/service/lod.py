# SPDX-License-Identifier: Apache-2.0
"""Level of detail: the same mesh with fewer triangles, for live views.

`python -m milo.backend.service.lod SNAPSHOT TRIANGLES` makes one in a process of its own, so that neither its time nor
its memory is the server's.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np

from .mesh_files import Mesh, lod_path, read_mesh, write_mesh


def decimate(mesh: Mesh, max_triangles: int) -> Mesh:
    """A mesh with at most `max_triangles`, by quadric error; colours are those of the nearest vertex of the original.

    Where that cannot go low enough (a thousand loose pieces), vertices are merged on a grid: the limit always holds.
    """
    import fast_simplification
    from scipy.spatial import cKDTree

    if len(mesh.faces) <= max_triangles:
        return mesh
    target = max_triangles
    for _ in range(3):
        verts, faces = fast_simplification.simplify(mesh.verts.astype(np.float32), mesh.faces.astype(np.int32),
                                                    target_count=target)[:2]
        if len(faces) <= max_triangles:
            break
        target = target * 3 // 4
    verts, faces = _used(np.asarray(verts, np.float32), np.asarray(faces, np.int32))
    if len(faces) > max_triangles or not np.isfinite(verts).all():
        verts, faces = merge_on_grid(mesh, max_triangles)
    _, nearest = cKDTree(mesh.verts).query(verts) if len(verts) else (None, np.zeros(0, np.int64))
    return Mesh(verts, faces, mesh.colors[nearest])


def merge_on_grid(mesh: Mesh, max_triangles: int) -> tuple[np.ndarray, np.ndarray]:
    """(verts, faces) with the vertices of each cell merged, in the finest grid that keeps the limit."""
    low = mesh.verts.min(0)
    extent = float((mesh.verts.max(0) - low).max()) or 1.0
    cells = 2.0 * max_triangles ** 0.5 + 2.0
    while True:
        _, first, cell_of = np.unique(np.floor((mesh.verts - low) * (cells / extent)).astype(np.int64), axis=0,
                                      return_index=True, return_inverse=True)
        faces = cell_of.reshape(-1)[mesh.faces]
        faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
        faces = faces[np.unique(np.sort(faces, axis=1), axis=0, return_index=True)[1]]
        if len(faces) <= max_triangles:
            return _used(mesh.verts[first], faces.astype(np.int32))
        cells *= 0.7


def _used(verts: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without the vertices that no face has."""
    used, renumbered = np.unique(faces, return_inverse=True)
    return verts[used], renumbered.reshape(faces.shape).astype(np.int32)


def write_lod(snapshot: Path, max_triangles: int, mesh: Mesh | None = None) -> None:
    """Write one level of detail beside the full mesh; it appears when it is complete."""
    target = lod_path(snapshot, max_triangles)
    building = target.with_name(f".{target.name}")
    building.mkdir(exist_ok=True)
    write_mesh(building, decimate(mesh or read_mesh(snapshot), max_triangles))
    try:
        os.replace(building, target)
    except OSError:     # there already
        shutil.rmtree(building, ignore_errors=True)


if __name__ == "__main__":
    write_lod(Path(sys.argv[1]), int(sys.argv[2]))
