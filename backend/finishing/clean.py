# SPDX-License-Identifier: Apache-2.0
"""What a reconstruction leaves that an asset does not need: floaters, backs that no photo shows, small holes."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .decimate import Mesh, face_areas, used

NARROW = 0.1   # height of a sliver, of its longest side
FEW = 0.05     # slivers and folds, of all faces, that decimation copes with
TAUBIN = np.float32(0.5), np.float32(-0.53)   # of the way to the mean of the neighbours, there and back


def clean(verts: np.ndarray, faces: np.ndarray, seen: np.ndarray, *, least_area: float = 0.01, rings: int = 2,
          hole: float = 0.05) -> Mesh:
    """The mesh without floaters and unseen faces, and with its small holes closed.

    Args:
        verts: [V, 3] float32; faces: [F, 3] int32.
        seen: [F] bool, faces that some photo shows.
        least_area: a connected piece stays if its seen area is at least this share of the largest one's.
        rings: faces up to so many rings around a seen one stay.
        hole: holes are closed up to a perimeter of this many diagonals of the bounding box.

    Raises:
        ValueError: no face is seen.
    """
    if not seen.any():
        raise ValueError("No photo sees any face of the mesh: cameras and mesh do not belong together.")
    area = face_areas(verts, faces)
    piece = pieces(len(verts), faces)
    seen_area = np.bincount(piece, weights=area * seen)
    keep = (seen_area >= least_area * seen_area.max())[piece] & near_seen(len(verts), faces, seen, rings)
    verts, faces = used(verts, faces[keep])
    largest = np.bincount(pieces(len(verts), faces), weights=face_areas(verts, faces))
    verts, faces = used(verts, faces[(largest >= least_area * largest.max())[pieces(len(verts), faces)]])
    return close_holes(verts, faces, hole * float(np.linalg.norm(np.ptp(verts, axis=0))))


def evened(verts: np.ndarray, faces: np.ndarray, rounds: int = 10) -> np.ndarray:
    """Vertices [V, 3] of a mesh with its slivers and small folds evened out (Taubin: without shrinking).

    For decimation: it cannot collapse the edges of slivers, which marching tetrahedra leave, without turning faces
    over. Vertices of good triangles stay where they are, and all do where there are few others.
    """
    bad = slivers_and_folds(verts, faces)
    if bad.mean() < FEW:
        return verts
    start, end = faces.ravel(), faces[:, [1, 2, 0]].ravel()
    ends = np.concatenate([start, end]), np.concatenate([end, start])
    graph = coo_array((np.ones(len(ends[0]), np.float32), ends), shape=(len(verts), len(verts))).tocsr()
    graph.data[:] = 1   # an edge counts once, whatever the number of its faces
    rough = np.zeros(len(verts), bool)
    rough[faces[bad]] = True
    neighbours = np.maximum(graph.sum(axis=1), 1)[:, None].astype(np.float32)
    even = verts.astype(np.float32)
    for _ in range(rounds):
        for step in TAUBIN:
            even[rough] += step * (graph @ even / neighbours - even)[rough]
    return even


def slivers_and_folds(verts: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[F] bool: faces that are very narrow, or look the other way than those around their corners."""
    corners = verts[faces].astype(np.float64)
    sides = np.roll(corners, -1, axis=1) - corners
    normals = np.cross(sides[:, 0], sides[:, 1])
    narrow = np.linalg.norm(normals, axis=1) < NARROW * (sides**2).sum(axis=2).max(axis=1)
    around = np.stack([np.bincount(faces.ravel(), np.repeat(normals[:, axis], 3), len(verts)) for axis in range(3)], 1)
    return narrow | (np.einsum("fk,fk->f", around[faces].sum(axis=1) - 3 * normals, normals) < 0)


def pieces(count: int, faces: np.ndarray) -> np.ndarray:
    """The number of the connected piece of each face [F]; faces are connected where they share a vertex."""
    rows, columns = faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel()
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(count, count))
    return connected_components(graph, directed=False)[1][faces[:, 0]]


def near_seen(count: int, faces: np.ndarray, seen: np.ndarray, rings: int) -> np.ndarray:
    """[F] bool: seen faces, and those up to `rings` rings of neighbours away."""
    for _ in range(rings):
        touched = np.zeros(count, bool)
        touched[faces[seen]] = True
        seen = touched[faces].any(axis=1)
    return seen


def close_holes(verts: np.ndarray, faces: np.ndarray, perimeter: float) -> Mesh:
    """Close holes whose edges are no longer than `perimeter` together, by a fan around their centre.

    Holes that touch at a vertex count as one. What is not a ring of edges (a fin, a face turned over) stays as it is.
    """
    start, end = open_edges(len(verts), faces)
    if not len(start):
        return verts, faces
    graph = coo_array((np.ones(len(start), np.int8), (start, end)), shape=(len(verts), len(verts)))
    ring = np.unique(connected_components(graph, directed=False)[1][start], return_inverse=True)[1]
    length = np.bincount(ring, weights=np.linalg.norm(verts[start] - verts[end], axis=1))
    edges = np.bincount(ring)
    balance = np.bincount(start, minlength=len(verts)) - np.bincount(end, minlength=len(verts))
    broken = np.bincount(ring, weights=balance[start] != 0) + np.bincount(ring, weights=balance[end] != 0)
    closed = (length <= perimeter) & (broken == 0) & (edges >= 3)
    centers = np.stack([np.bincount(ring, weights=verts[start, axis]) for axis in range(3)], axis=1) / edges[:, None]
    number = np.cumsum(closed) - 1 + len(verts)
    chosen = closed[ring]
    fan = np.stack([end[chosen], start[chosen], number[ring[chosen]]], axis=1)
    return (np.concatenate([verts, centers[closed].astype(verts.dtype)]),
            np.concatenate([faces, fan.astype(faces.dtype)]))


def open_edges(count: int, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(start, end) of the directed edges of faces that no other face runs along the other way."""
    start = faces.ravel().astype(np.int64)
    end = faces[:, [1, 2, 0]].ravel().astype(np.int64)
    alone = ~np.isin(start * count + end, end * count + start)
    return start[alone], end[alone]
