# SPDX-License-Identifier: Apache-2.0
"""PLY files: splats with the columns of 3DGS, triangle meshes with vertex colours, point clouds.

The only module that imports plyfile (GPL-3.0-or-later), and only to read: files are written from structured arrays in
one go. Files appear under their name when they are complete.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyParseError

from .errors import PlyError

PLY_TYPES = {"f4": "float", "f8": "double", "u1": "uchar", "i4": "int"}


@dataclass(frozen=True, eq=False)
class SplatColumns:
    """Gaussians as stored: raw, unactivated parameters (spec training.md, 2.1 and 2.9), all float32.

    Attributes:
        means: [N, 3] world units.
        sh_dc: [N, 3], sh_rest: [N, (D+1)^2 - 1, 3] spherical harmonics.
        opacities: [N] logits.
        scales: [N, 3] natural logarithms of standard deviations, world units.
        quats: [N, 4] (w, x, y, z), not normalised.
        filter_3d: [N] size of the 3D smoothing filter, world units, or None.
        base_occupancy, occupancy_shift: [N, 9] logits, or None; both or neither.
    """

    means: np.ndarray
    sh_dc: np.ndarray
    sh_rest: np.ndarray
    opacities: np.ndarray
    scales: np.ndarray
    quats: np.ndarray
    filter_3d: np.ndarray | None = None
    base_occupancy: np.ndarray | None = None
    occupancy_shift: np.ndarray | None = None

    @property
    def sh_degree(self) -> int:
        """Degree D of the spherical harmonics."""
        return round((self.sh_rest.shape[1] + 1) ** 0.5) - 1


def splat_column_names(sh_rest: int, filter_3d: bool, occupancy: bool) -> list[str]:
    """Column names in file order, for `sh_rest` = (D+1)^2 - 1 higher coefficients (spec training.md, 2.9)."""
    names = ["x", "y", "z", "nx", "ny", "nz"]
    names += [f"f_dc_{i}" for i in range(3)] + [f"f_rest_{i}" for i in range(3 * sh_rest)]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    names += ["filter_3D"] if filter_3d else []
    if occupancy:
        names += [f"base_occupancy_{i}" for i in range(9)] + [f"occupancy_shift_{i}" for i in range(9)]
    return names


def write_splats(path: str | Path, splats: SplatColumns) -> None:
    """Write Gaussians as a binary PLY that 3DGS viewers open. Every bit of every float is kept.

    Raises:
        ValueError: an array has another dtype or shape than SplatColumns says.
    """
    count, rest = len(splats.means), splats.sh_rest.shape[1]
    _check_splats(splats, count, rest)
    if (splats.base_occupancy is None) != (splats.occupancy_shift is None):
        raise ValueError("base_occupancy and occupancy_shift: give both or neither.")
    columns = [
        splats.means,
        np.zeros((count, 3), np.float32),  # normals, unused
        splats.sh_dc,
        splats.sh_rest.transpose(0, 2, 1).reshape(count, 3 * rest),  # channel-major
        splats.opacities[:, None],
        splats.scales,
        splats.quats,
    ]
    if splats.filter_3d is not None:
        columns.append(splats.filter_3d[:, None])
    if splats.base_occupancy is not None:
        columns += [splats.base_occupancy, splats.occupancy_shift]
    names = splat_column_names(rest, splats.filter_3d is not None, splats.base_occupancy is not None)
    table = np.hstack(columns).astype("<f4", copy=False)
    header = [f"element vertex {count}", *(f"property float {name}" for name in names)]
    _write(Path(path), header, np.ascontiguousarray(table))


def read_splats(path: str | Path) -> SplatColumns:
    """Read Gaussians of a 3DGS PLY, ours or anybody's. Columns are found by name and ordered by their number.

    Raises:
        PlyError: the file is missing, damaged, or has not the columns of 3DGS.
    """
    vertex = _read(Path(path))["vertex"].data
    names = vertex.dtype.names

    def columns(prefix: str, expected: int | None) -> np.ndarray:
        found = sorted((name for name in names if name.startswith(prefix)), key=lambda name: int(name[len(prefix) :]))
        if expected is not None and len(found) != expected:
            raise PlyError(path, f"it has {len(found)} columns {prefix}*, not {expected}", "Give a splat file of 3DGS")
        return _stack(vertex, found)

    lacking = [name for name in ("x", "y", "z", "opacity") if name not in names]
    if lacking:
        raise PlyError(path, f"it has no column {', '.join(lacking)}", "Give a splat file with the columns of 3DGS")
    rest = columns("f_rest_", None)
    degree = round((rest.shape[1] / 3 + 1) ** 0.5) - 1
    if rest.shape[1] != 3 * ((degree + 1) ** 2 - 1):
        raise PlyError(path, f"it has {rest.shape[1]} columns f_rest_*, which no degree has", "Give another splat file")
    has_occupancy = "base_occupancy_0" in names
    return SplatColumns(
        means=_stack(vertex, ["x", "y", "z"]),
        sh_dc=columns("f_dc_", 3),
        sh_rest=np.ascontiguousarray(rest.reshape(len(vertex), 3, rest.shape[1] // 3).transpose(0, 2, 1)),
        opacities=_stack(vertex, ["opacity"])[:, 0],
        scales=_with_thickness(columns("scale_", None), path),
        quats=columns("rot_", 4),
        filter_3d=_stack(vertex, ["filter_3D"])[:, 0] if "filter_3D" in names else None,
        base_occupancy=columns("base_occupancy_", 9) if has_occupancy else None,
        occupancy_shift=columns("occupancy_shift_", 9) if has_occupancy else None,
    )


def has_filter(path: str | Path) -> bool:
    """Whether a splat file has the column of the 3D filter.

    Raises:
        PlyError: the file is missing or damaged.
    """
    return "filter_3D" in _read(Path(path))["vertex"].data.dtype.names


def write_mesh(path: str | Path, verts: np.ndarray, faces: np.ndarray, colors: np.ndarray | None = None) -> None:
    """Write a triangle mesh as a binary PLY.

    Args:
        path: the file.
        verts: [V, 3] float32 (or float64, stored as such), world units.
        faces: [F, 3] integer.
        colors: [V, 3] uint8, or None.
    """
    faces = np.asarray(faces)
    header, table = _vertices(np.asarray(verts), colors)
    face_table = np.empty(len(faces), [("count", "u1"), ("vertex_indices", "<i4", 3)])
    face_table["count"], face_table["vertex_indices"] = 3, faces
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    _write(Path(path), header, table, face_table)


def write_points(path: str | Path, points: np.ndarray, colors: np.ndarray) -> None:
    """Write points [P, 3] float32 or float64 with colors [P, 3] uint8 as a binary PLY."""
    _write(Path(path), *_vertices(np.asarray(points), colors))


def _vertices(verts: np.ndarray, colors: np.ndarray | None) -> tuple[list[str], np.ndarray]:
    """Header lines and table of vertices [V, 3] with colors [V, 3] uint8 or None."""
    real = "f8" if verts.dtype == np.float64 else "f4"
    layout = [(axis, f"<{real}") for axis in "xyz"]
    columns = list(verts.T)
    if colors is not None:
        layout += [(channel, "u1") for channel in ("red", "green", "blue")]
        columns += list(colors.T)
    table = np.empty(len(verts), layout)
    for (name, _), column in zip(layout, columns):
        table[name] = column
    header = [f"element vertex {len(verts)}"]
    header += [f"property {PLY_TYPES[type_.lstrip('<')]} {name}" for name, type_ in layout]
    return header, table


def read_mesh(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read a triangle mesh: verts [V, 3] float32 (float64 where stored so), faces [F, 3] int32, colors [V, 3] uint8
    or None.

    Raises:
        PlyError: the file is missing or damaged, not a mesh of triangles, or an index or vertex is invalid.
    """
    path = Path(path)
    for name in ("vertex_indices", "vertex_index"):
        ply = _read(path, {"face": {name: 3}})
        if "face" in ply and name in ply["face"].data.dtype.names:
            rows = ply["face"].data[name]
            break
    else:
        raise PlyError(path, "it has no faces", "Give a mesh, not a point cloud")
    if rows.dtype == object:      # an ASCII file: a list a face, of any length
        if any(len(row) != 3 for row in rows):
            raise PlyError(path, "it has faces that are not triangles", "Triangulate the mesh first")
        rows = np.array(rows.tolist(), np.int32)
    faces = np.ascontiguousarray(rows.reshape(-1, 3), np.int32)
    vertex = ply["vertex"].data
    verts = _stack(vertex, ["x", "y", "z"], vertex.dtype["x"].type)
    if not np.isfinite(verts).all():
        raise PlyError(path, "some vertices are not finite (NaN or infinity)", "Export the mesh again")
    if len(faces) and (faces.min() < 0 or faces.max() >= len(verts)):
        raise PlyError(path, "a face names a vertex that does not exist", "Export the mesh again")
    has_colors = {"red", "green", "blue"} <= set(vertex.dtype.names)
    return verts, faces, _stack(vertex, ["red", "green", "blue"], np.uint8) if has_colors else None


def read_points(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a point cloud: points [P, 3] float64, colors [P, 3] uint8 (grey where the file has none)."""
    vertex = _read(Path(path))["vertex"].data
    points = _stack(vertex, ["x", "y", "z"], np.float64)
    if {"red", "green", "blue"} <= set(vertex.dtype.names):
        return points, _stack(vertex, ["red", "green", "blue"], np.uint8)
    return points, np.full(points.shape, 128, np.uint8)


def _with_thickness(scales: np.ndarray, path: str | Path) -> np.ndarray:
    """Logarithms of three standard deviations; 2DGS stores two, and its discs become a thousandth as thick as wide."""
    if scales.shape[1] == 2:
        scales = np.concatenate([scales, scales.min(axis=1, keepdims=True) - np.float32(np.log(1000))], axis=1)
    if scales.shape[1] != 3:
        raise PlyError(path, f"it has {scales.shape[1]} columns scale_*, not 3", "Give a splat file of 3DGS")
    return scales


def _check_splats(splats: SplatColumns, count: int, rest: int) -> None:
    shapes = {
        "means": (count, 3), "sh_dc": (count, 3), "sh_rest": (count, rest, 3), "opacities": (count,),
        "scales": (count, 3), "quats": (count, 4), "filter_3d": (count,), "base_occupancy": (count, 9),
        "occupancy_shift": (count, 9),
    }
    for field in fields(splats):
        array = getattr(splats, field.name)
        if array is not None and (array.shape != shapes[field.name] or array.dtype != np.float32):
            raise ValueError(f"{field.name} is {array.dtype} {array.shape}, not float32 {shapes[field.name]}.")


def _stack(vertex: np.ndarray, names: list[str], dtype: type = np.float32) -> np.ndarray:
    """Named columns of a structured array side by side: [rows, len(names)]."""
    table = np.empty((len(vertex), len(names)), dtype)
    for i, name in enumerate(names):
        table[:, i] = vertex[name]
    return table


def _read(path: Path, known_list_len: dict | None = None) -> PlyData:
    try:
        ply = PlyData.read(str(path), known_list_len=known_list_len or {})
    except FileNotFoundError:
        raise PlyError(path, "there is no such file", "Check the path") from None
    except (PlyParseError, OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise PlyError(path, f"this is not a readable PLY file ({error})", "Export it again") from error
    if "vertex" not in ply or not {"x", "y", "z"} <= set(ply["vertex"].data.dtype.names):
        raise PlyError(path, "it has no vertices", "Export it again")
    return ply


def _write(path: Path, header: list[str], *tables: np.ndarray) -> None:
    """Write a little-endian binary PLY beside its place, then move it there."""
    text = "\n".join(["ply", "format binary_little_endian 1.0", *header, "end_header", ""])
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(text.encode("ascii"))
            for table in tables:
                file.write(table.tobytes())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
