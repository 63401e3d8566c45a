# SPDX-License-Identifier: Apache-2.0
"""The same mesh with fewer triangles. Needs neither torch nor scipy: the service makes levels of detail with it."""

from __future__ import annotations

import numpy as np

Mesh = tuple[np.ndarray, np.ndarray]   # verts [V, 3] float32, faces [F, 3] int32

ATTEMPTS = 6   # to reach a number of triangles by collapsing edges
WELD = 0.5     # of the length of a face within which vertices are welded when that gets stuck


def decimate(verts: np.ndarray, faces: np.ndarray, max_triangles: int) -> Mesh:
    """A mesh with at most `max_triangles`, by quadric error.

    Slivers, of which marching tetrahedra leave many, keep edges from collapsing: where it gets stuck, vertices that are
    close together are welded before it goes on. Where that does not help either (a thousand loose pieces), vertices are
    merged on a grid: the limit always holds.
    """
    import fast_simplification

    if len(faces) <= max_triangles:
        return verts, faces
    fewer = verts.astype(np.float32), faces.astype(np.int32)
    target = max_triangles
    for _ in range(ATTEMPTS):
        if len(fewer[1]) <= max_triangles:
            break
        points, corners = fast_simplification.simplify(*fewer, target_count=target)[:2]
        fewer = used(np.asarray(points, np.float32), np.asarray(corners, np.int32))
        if len(fewer[1]) > 2 * max_triangles:
            fewer = weld(*fewer, WELD * _length(*fewer))
        else:
            target = target * 7 // 8
    if len(fewer[1]) > max_triangles or not np.isfinite(fewer[0]).all():
        return merge_on_grid(verts, faces, max_triangles)
    return fewer


def weld(verts: np.ndarray, faces: np.ndarray, cell: float) -> Mesh:
    """The mesh with the vertices in each cell of a grid, `cell` units wide, in one: their mean."""
    cell_of, _ = _equal_rows(np.floor((verts - verts.min(0)) / cell).astype(np.int64))
    mean = np.stack([np.bincount(cell_of, column) for column in verts.T], axis=1) / np.bincount(cell_of)[:, None]
    return used(mean.astype(np.float32), _without_collapsed(cell_of[faces]))


def _without_collapsed(faces: np.ndarray) -> np.ndarray:
    """Without faces that name a vertex twice, and each set of vertices once."""
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    return faces[_equal_rows(np.sort(faces, axis=1))[1]]


def _equal_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of rows [N, K]: [N] the group of equal rows that each is in, and [G] the first row of each group."""
    order = np.lexsort(rows.T)                # a third of the time of np.unique(axis=0)
    ordered = rows[order]
    begins = np.ones(len(rows), bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    group = np.empty(len(rows), np.int64)
    group[order] = np.cumsum(begins) - 1
    return group, order[begins]


def _length(verts: np.ndarray, faces: np.ndarray) -> float:
    """The root of the mean area of a face: how long its edges are, slivers apart."""
    return float(np.sqrt(face_areas(verts, faces).mean())) or 1e-30


def merge_on_grid(verts: np.ndarray, faces: np.ndarray, max_triangles: int) -> Mesh:
    """The mesh with the vertices of each cell merged, in the finest grid that keeps the limit."""
    low = verts.min(0)
    extent = float((verts.max(0) - low).max()) or 1.0
    cells = 2.0 * max_triangles ** 0.5 + 2.0
    while True:
        cell_of, first = _equal_rows(np.floor((verts - low) * (cells / extent)).astype(np.int64))
        merged = _without_collapsed(cell_of[faces])
        if len(merged) <= max_triangles:
            return used(verts[first], merged.astype(np.int32))
        cells *= 0.7


def used(verts: np.ndarray, faces: np.ndarray) -> Mesh:
    """Without the vertices that no face has."""
    kept = np.zeros(len(verts), bool)
    kept[faces] = True
    return verts[kept], (np.cumsum(kept) - 1).astype(np.int32)[faces]


def face_areas(verts: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[F] areas, squared units of verts."""
    corner = verts[faces].astype(np.float64)
    return np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
