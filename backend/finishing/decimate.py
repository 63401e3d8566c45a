# SPDX-License-Identifier: Apache-2.0
"""The same mesh with fewer triangles. Needs neither torch nor scipy: the service makes levels of detail with it."""

from __future__ import annotations

import numpy as np

Mesh = tuple[np.ndarray, np.ndarray]   # verts [V, 3] float32, faces [F, 3] int32


def decimate(verts: np.ndarray, faces: np.ndarray, max_triangles: int) -> Mesh:
    """A mesh with at most `max_triangles`, by quadric error.

    Where that cannot go low enough (a thousand loose pieces), vertices are merged on a grid: the limit always holds.
    """
    import fast_simplification

    if len(faces) <= max_triangles:
        return verts, faces
    target = max_triangles
    fewer = verts.astype(np.float32), faces.astype(np.int32)
    for _ in range(3):
        fewer = fast_simplification.simplify(*fewer, target_count=target)[:2]
        if len(fewer[1]) <= max_triangles:
            break
        target = target * 3 // 4
    fewer = used(np.asarray(fewer[0], np.float32), np.asarray(fewer[1], np.int32))
    if len(fewer[1]) > max_triangles or not np.isfinite(fewer[0]).all():
        return merge_on_grid(verts, faces, max_triangles)
    return fewer


def merge_on_grid(verts: np.ndarray, faces: np.ndarray, max_triangles: int) -> Mesh:
    """The mesh with the vertices of each cell merged, in the finest grid that keeps the limit."""
    low = verts.min(0)
    extent = float((verts.max(0) - low).max()) or 1.0
    cells = 2.0 * max_triangles ** 0.5 + 2.0
    while True:
        _, first, cell_of = np.unique(np.floor((verts - low) * (cells / extent)).astype(np.int64), axis=0,
                                      return_index=True, return_inverse=True)
        merged = cell_of.reshape(-1)[faces]
        merged = merged[(merged != np.roll(merged, 1, axis=1)).all(axis=1)]
        merged = merged[np.unique(np.sort(merged, axis=1), axis=0, return_index=True)[1]]
        if len(merged) <= max_triangles:
            return used(verts[first], merged.astype(np.int32))
        cells *= 0.7


def used(verts: np.ndarray, faces: np.ndarray) -> Mesh:
    """Without the vertices that no face has."""
    kept, renumbered = np.unique(faces, return_inverse=True)
    return verts[kept], renumbered.reshape(faces.shape).astype(np.int32)
