# SPDX-License-Identifier: Apache-2.0
"""Charts for a mesh (xatlas), and normals and tangents at its corners."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PADDING = 4   # texels between charts


class Charted(NamedTuple):
    """A mesh cut along the seams of its charts: a vertex on a seam stands there once for each chart."""

    verts: np.ndarray      # [V, 3] float32
    faces: np.ndarray      # [F, 3] int32, the faces of the mesh in their order
    uvs: np.ndarray        # [V, 2] float32 in [0, 1], v downwards: texel (row, column) is (v, u), as in glTF
    normals: np.ndarray    # [V, 3] float32 unit, smooth, the same on both sides of a seam
    tangents: np.ndarray   # [V, 4] float32: unit, along u, across the normal; and 1, or -1 where the chart is mirrored


def unwrap(verts: np.ndarray, faces: np.ndarray, texture: int) -> Charted:
    """Charts packed into a square.

    Args:
        verts: [V, 3] float32; faces: [F, 3] int32.
        texture: side of the texture that the space between charts is for, texels.
    """
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_mesh(verts.astype(np.float32), faces.astype(np.uint32))
    pack = xatlas.PackOptions()
    pack.resolution, pack.padding, pack.bilinear = texture, PADDING, True
    atlas.generate(xatlas.ChartOptions(), pack)
    original, cut, uvs = atlas.get_mesh(0)
    side = max(atlas.width, atlas.height)
    uvs = (uvs * (np.array([atlas.width, atlas.height]) / side)).astype(np.float32)
    cut, original = cut.astype(np.int32), original.astype(np.int64)
    normals = vertex_normals(verts, faces)[original]
    placed = verts[original].astype(np.float32)
    return Charted(placed, cut, uvs, normals, vertex_tangents(placed, cut, uvs, normals))


def vertex_normals(verts: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[V, 3] float32: the mean normal of the faces around each vertex, by area; upwards where there is none."""
    corner = verts[faces].astype(np.float64)
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    total = _gathered(len(verts), faces, across)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.maximum(length, 1e-300), [0.0, 0.0, 1.0]).astype(np.float32)


def vertex_tangents(verts: np.ndarray, faces: np.ndarray, uvs: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """[V, 4] float32, as glTF has them: the bitangent w (normal x tangent) points up the image."""
    corner, uv = verts[faces].astype(np.float64), uvs[faces].astype(np.float64)
    along, across = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    (a, b), (c, d) = (uv[:, 1] - uv[:, 0]).T, (uv[:, 2] - uv[:, 0]).T
    b, d = -b, -d                                             # v upwards
    size = a * d - b * c
    turn = np.sign(size)
    tangent = (along * d[:, None] - across * b[:, None]) * turn[:, None]
    tangent = _gathered(len(verts), faces, tangent)
    tangent -= (tangent * normals).sum(1, keepdims=True) * normals
    length = np.linalg.norm(tangent, axis=1, keepdims=True)
    aside = np.cross(normals, np.eye(3)[np.abs(normals).argmin(1)])
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    tangent = np.where(length > 1e-12, tangent / np.maximum(length, 1e-300), aside)
    sign = np.where(_gathered(len(verts), faces, size[:, None]) < 0, -1.0, 1.0)
    return np.concatenate([tangent, sign], axis=1).astype(np.float32)


def _gathered(count: int, faces: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums over the faces around each vertex: [F, C] -> [count, C] float64."""
    at = faces.ravel()
    return np.stack([np.bincount(at, np.repeat(column, 3), count) for column in values.T], axis=1)
