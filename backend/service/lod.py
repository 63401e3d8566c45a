# SPDX-License-Identifier: Apache-2.0
"""Level of detail: the same mesh with fewer triangles, for live views.

`python -m milo.backend.service.lod SNAPSHOT TRIANGLES` makes one in a process of its own, so that neither its time nor
its memory is the server's, and no training waits for it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np

from milo.backend.finishing.decimate import decimate as fewer_triangles
from milo.backend.finishing.decimate import face_areas, weld

from .mesh_files import Mesh, lod_path, read_mesh, write_mesh

WELD = 0.4   # of the length of a large face within which vertices are welded


def decimate(mesh: Mesh, max_triangles: int) -> Mesh:
    """A mesh with at most `max_triangles`; colours are those of the nearest vertex of the original.

    Meshes of marching tetrahedra are welded first: decimating their slivers takes twenty times longer and bends what is
    left. (An asset's slivers are evened out with more care.)
    """
    from scipy.spatial import cKDTree

    if len(mesh.faces) <= max_triangles:
        return mesh
    verts, faces = mesh.verts, mesh.faces
    if len(faces) > 2 * max_triangles:
        large = float(np.quantile(face_areas(verts, faces), 0.9))   # whatever the slivers and the few faces far away
        welded = weld(verts, faces, WELD * large**0.5 or 1e-30)
        if len(welded[1]) > max_triangles:
            verts, faces = welded
    verts, faces = fewer_triangles(verts, faces, max_triangles)
    _, nearest = cKDTree(mesh.verts).query(verts) if len(verts) else (None, np.zeros(0, np.int64))
    return Mesh(verts, faces, mesh.colors[nearest])


def command(snapshot: Path, max_triangles: int) -> list[str]:
    """What makes a level of detail of the mesh in a folder."""
    return [sys.executable, "-m", "milo.backend.service.lod", str(snapshot), str(max_triangles)]


def write_lod(snapshot: Path, max_triangles: int) -> None:
    """Write one level of detail beside the full mesh; it appears when it is complete."""
    target = lod_path(snapshot, max_triangles)
    building = target.with_name(f".{target.name}")
    building.mkdir(exist_ok=True)
    write_mesh(building, decimate(read_mesh(snapshot), max_triangles))
    try:
        os.replace(building, target)
    except OSError:     # there already
        shutil.rmtree(building, ignore_errors=True)


if __name__ == "__main__":
    write_lod(Path(sys.argv[1]), int(sys.argv[2]))
