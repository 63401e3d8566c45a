# SPDX-License-Identifier: Apache-2.0
"""Meshes of a running job on disk: written by its worker, read by the server.

snapshots/00000012/         appears by a rename when it is complete
    snapshot.json           {"format": 1, "kind", "iteration", "triangles"}
    verts.npy               [V, 3] float32, world
    faces.npy               [F, 3] int32
    colors.npy              [V, 3] uint8, sRGB
    preview.png             a picture of the moment, where there was one
    pair.npy                [2, H, W, 3] uint8, that picture and the photo of the same camera
    lod-200000/             the same three arrays with at most so many triangles (lod.py)
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .files import write_json
from .mesh_files import Mesh, check, lod_path, read_mesh, write_mesh

FORMAT = 1
KEPT = 3


@dataclass(frozen=True)
class Snapshot:
    seq: int
    kind: str
    iteration: int
    triangles: int       # of the full mesh
    mesh: Mesh


def sequence(folder: Path) -> list[int]:
    """The numbers of the snapshots that are there, oldest first."""
    try:
        return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())
    except FileNotFoundError:
        return []


def path(folder: Path, seq: int) -> Path:
    return folder / f"{seq:08d}"


def prepare_snapshot(folder: Path, seq: int, kind: str, iteration: int, mesh: Mesh, preview: np.ndarray | None,
                     photo: np.ndarray | None) -> Path:
    """Write a mesh where nobody looks yet; the folder for `publish_snapshot`, and for levels of detail before it.

    preview, photo: [H, W, 3] uint8 or None.
    Raises ValueError if the arrays are not a mesh.
    """
    check(mesh)
    building = folder / f".{seq:08d}"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    write_mesh(building, mesh)
    if preview is not None:
        from PIL import Image
        Image.fromarray(np.ascontiguousarray(preview, np.uint8)).save(building / "preview.png", compress_level=1)
        shutil.copyfile(building / "preview.png", folder / ".preview.png")
        os.replace(folder / ".preview.png", folder.parent / "preview.png")
        if photo is not None:
            np.save(building / "pair.npy", np.stack([preview, photo]), allow_pickle=False)
    write_json(building / "snapshot.json",
               {"format": FORMAT, "kind": kind, "iteration": iteration, "triangles": len(mesh.faces)})
    return building


def publish_snapshot(building: Path) -> None:
    """Let a prepared snapshot appear, and remove all but the newest ones."""
    folder, seq = building.parent, int(building.name.removeprefix("."))
    os.replace(building, path(folder, seq))
    for old in sequence(folder)[:-KEPT]:
        shutil.rmtree(path(folder, old), ignore_errors=True)


def read_snapshot(folder: Path, seq: int, max_triangles: int) -> Snapshot | None:
    """A snapshot with at most `max_triangles` (0: all). None if that level of detail has not been made yet.

    Raises OSError or ValueError if the snapshot is not (or no longer) there.
    """
    source = path(folder, seq)
    about = json.loads((source / "snapshot.json").read_text("utf-8"))
    if about.get("format") != FORMAT:
        raise ValueError(f"{source} has format {about.get('format')}; this version of MILo reads {FORMAT}.")
    mesh_folder = source
    if 0 < max_triangles < about["triangles"]:
        mesh_folder = lod_path(source, max_triangles)
        if not mesh_folder.is_dir():
            return None
    return Snapshot(seq, about["kind"], about["iteration"], about["triangles"], read_mesh(mesh_folder))


def read_pair(folder: Path, after: int) -> tuple[int, int, np.ndarray] | None:
    """(number, iteration, pair [2, H, W, 3]) of the newest snapshot with pictures, if it is newer than `after`."""
    for seq in reversed(sequence(folder)):
        if seq <= after:
            return None
        with contextlib.suppress(OSError, ValueError):     # without pictures, or just removed
            pair = np.load(path(folder, seq) / "pair.npy", allow_pickle=False)
            return seq, json.loads((path(folder, seq) / "snapshot.json").read_text("utf-8"))["iteration"], pair
    return None


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed worker left half-written."""
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            if entry.name.startswith("."):
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()
