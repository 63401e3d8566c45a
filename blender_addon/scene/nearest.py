# SPDX-License-Identifier: GPL-3.0-or-later
"""Nearest places on a surface for many points at once: numpy only, in short calls, so that a thread can do it while
Blender's main thread works. (Blender's own tree holds Python's lock while it is built, a tenth of a second and more.)

A near vertex is found by a hash grid that grows coarser for points far away. From there a walk over the mesh goes to
the nearest vertex, and the triangles around that are compared.
"""

from __future__ import annotations

import numpy as np

AT_ONCE = 8192  # points of one numpy call: a few milliseconds
NEIGHBOURS = [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]
STEPS = 100  # of the walk; points next to the surface need one or two
LEVELS = 40  # the grid doubles its cells that often: enough from any cell to any distance in float32


def on_surface(verts: np.ndarray, faces: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest place on a triangle mesh for each point.

    Args:
        verts: [V, 3] float32. faces: [F, 3] int32, at least one. points: [P, 3] float32.

    Returns:
        face [P] int32, and shares [P, 3] float32 of its corners that make up the place: at least 0, their sum 1.
    """
    used = np.unique(faces)
    vertex = used[near_vertex(verts[used], points, _spacing(verts, faces, len(used)))]
    order = np.argsort(faces, axis=None, kind="stable")
    counts = np.bincount(faces.ravel(), minlength=len(verts))
    starts = np.cumsum(counts) - counts
    around = (order // 3).astype(np.int32)  # faces around vertex v: around[starts[v] : starts[v] + counts[v]]
    face, shares = np.zeros(len(points), np.int32), np.zeros((len(points), 3), np.float32)
    for begin in range(0, len(points), AT_ONCE):
        part = slice(begin, begin + AT_ONCE)
        at = points[part].astype(np.float64)
        near = _walk(verts, faces, (around, starts, counts), vertex[part], at)
        best = np.full(len(at), np.inf)
        for turn in range(counts[near].max(initial=0)):
            who = np.flatnonzero(counts[near] > turn)
            candidate = around[starts[near[who]] + turn]
            distance, share = _on_triangles(verts[faces[candidate]].astype(np.float64), at[who])
            closer = distance < best[who]
            who = who[closer]
            best[who], face[begin + who], shares[begin + who] = distance[closer], candidate[closer], share[closer]
    return face, shares


def _walk(verts, faces, rings, vertex, points) -> np.ndarray:
    """From a vertex [P] along the mesh to where no neighbour is nearer to the point."""
    around, starts, counts = rings
    vertex = vertex.copy()
    going = np.arange(len(points))
    for _ in range(STEPS):
        here = vertex[going]
        best = ((verts[here] - points[going]) ** 2).sum(axis=1)
        for turn in range(counts[here].max(initial=0)):
            who = np.flatnonzero(counts[here] > turn)
            corners = faces[around[starts[here[who]] + turn]]
            distance = ((verts[corners] - points[going[who], None]) ** 2).sum(axis=2)
            corner = distance.argmin(axis=1)
            distance = distance[np.arange(len(who)), corner]
            closer = distance < best[who]
            best[who[closer]] = distance[closer]
            vertex[going[who[closer]]] = corners[closer, corner[closer]]
        going = going[vertex[going] != here]
        if not len(going):
            break
    return vertex


def near_vertex(verts: np.ndarray, points: np.ndarray, cell: float) -> np.ndarray:
    """Index [P] of a vertex near to each point; the nearest, where one is not farther than `cell` away."""
    low = verts.min(axis=0).astype(np.float64) - cell
    found = np.full(len(points), -1, np.int64)
    left, among = np.arange(len(points)), np.arange(len(verts))
    for _ in range(LEVELS):
        size = ((verts[among].max(axis=0) - low) / cell).astype(np.int64) + 3
        keys = _keys(verts[among], low, cell, size)
        order = np.argsort(keys, kind="stable")
        cells, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
        for begin in range(0, len(left), AT_ONCE):
            who = left[begin : begin + AT_ONCE]
            found[who] = _in_cells(verts[among[order]], points[who], low, cell, size, cells, starts, counts)
        near = found[left] >= 0
        found[left[near]] = among[order][found[left[near]]]
        left = left[~near]
        if not len(left):
            break
        among, cell = among[order[starts]], 2 * cell  # one vertex speaks for its cell
    found[left] = 0
    return found


def _in_cells(verts, points, low, cell, size, cells, starts, counts) -> np.ndarray:
    """For each point the nearest of the sorted vertices in its cell and those around it, -1 where these are empty."""
    best, found = np.full(len(points), np.inf), np.full(len(points), -1, np.int64)
    inside = ((points > low - cell) & (points < low + cell * size)).all(axis=1)
    if not inside.any():
        return found
    at = np.flatnonzero(inside)
    keys = _keys(points[at], low, cell, size)
    for x, y, z in NEIGHBOURS:
        wanted = keys + (x * size[1] + y) * size[2] + z
        place = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
        hit = cells[place] == wanted
        who, place = at[hit], place[hit]
        turn = 0
        while len(who):
            candidate = starts[place] + turn
            distance = ((verts[candidate] - points[who]) ** 2).sum(axis=1)
            closer = distance < best[who]
            best[who[closer]], found[who[closer]] = distance[closer], candidate[closer]
            turn += 1
            more = counts[place] > turn
            who, place = who[more], place[more]
    return found


def _keys(points: np.ndarray, low: np.ndarray, cell: float, size: np.ndarray) -> np.ndarray:
    at = np.floor((points - low) / cell).astype(np.int64)
    return (at[:, 0] * size[1] + at[:, 1]) * size[2] + at[:, 2]


def _spacing(verts: np.ndarray, faces: np.ndarray, count: int) -> float:
    """A typical distance of neighbouring vertices, at least what float32 tells apart."""
    a, b, c = (verts[faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum(dtype=np.float64) / 2
    extent = float(np.ptp(verts, axis=0).max())
    return max(1.5 * np.sqrt(area / count), 1e-5 * extent, 1e-30)


def _on_triangles(corners: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared distance [P] of a point to its triangle ([P, 3, 3]), and shares [P, 3] of the corners at the place."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = (ab * ab).sum(1), (ab * ac).sum(1), (ac * ac).sum(1)
    d20, d21 = (ap * ab).sum(1), (ap * ac).sum(1)
    area = d00 * d11 - d01 * d01
    good = area > 1e-12 * d00 * d11  # slivers are as good as their edges
    area = np.where(good, area, 1.0)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    share = np.stack([1 - v - w, v, w], axis=1)
    inside = good & (share >= 0).all(axis=1)
    best = np.where(inside, ((points - np.einsum("pk,pkx->px", share, corners)) ** 2).sum(1), np.inf)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        along = corners[:, j] - corners[:, i]
        length = (along * along).sum(1)
        t = ((points - corners[:, i]) * along).sum(1) / np.where(length > 0, length, 1.0)
        t = np.clip(t, 0.0, 1.0)
        distance = ((points - corners[:, i] - t[:, None] * along) ** 2).sum(1)
        closer = distance < best
        best = np.where(closer, distance, best)
        edge = np.zeros_like(share)
        edge[:, i], edge[:, j] = 1 - t, t
        share[closer] = edge[closer]
    return best, share
