# SPDX-License-Identifier: GPL-3.0-or-later
"""The body that a reconstructed surface stands for, as a grid of full and empty cells.

Reconstructions are open below, have holes, and flaps inside. A cell is full where the surface is, or where five of the
six ways along the axes meet the surface: so what is open on one side is full, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CELLS = 96  # along the longest side
WAYS = 5  # of six that must be blocked


class Solid(NamedTuple):
    """full [X, Y, Z] bool with a border of empty cells; cell (0, 0, 0) begins at `low` [3]; `cell` is their size."""

    full: np.ndarray
    low: np.ndarray
    cell: float

    @property
    def points(self) -> np.ndarray:
        """The centres [N, 3] of full cells."""
        return self.low + (np.argwhere(self.full) + 0.5) * self.cell


def solid(verts: np.ndarray, faces: np.ndarray) -> Solid:
    """Of a mesh, verts [V, 3] and faces [F, 3]."""
    cell = max(float(np.ptp(verts, axis=0).max()) / CELLS, 1e-9)
    low = verts.min(axis=0) - 2 * cell
    shape = np.ceil(np.ptp(verts, axis=0) / cell).astype(int) + 4
    surface = np.zeros(shape, bool)
    for points in samples(verts[faces].astype(np.float64), cell):
        surface[tuple(np.floor((points - low) / cell).astype(int).T)] = True
    blocked = np.zeros(shape, np.int8)
    for axis in range(3):
        blocked += np.logical_or.accumulate(surface, axis=axis)
        blocked += np.flip(np.logical_or.accumulate(np.flip(surface, axis), axis=axis), axis)
    inside = blocked >= WAYS
    # Ways that slip through holes, or end at a floater, leave lines of wrong cells: their neighbours outvote them.
    return Solid(surface | (neighbours(inside) >= 14), low, cell)


def samples(corners: np.ndarray, cell: float):
    """Points [P, 3] on triangles [F, 3, 3], at least one for every cell that they pass through."""
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    steps = np.clip(np.ceil(2 * longest / cell), 1, 4 * CELLS).astype(int)
    for count in np.unique(steps):
        i, j = np.meshgrid(np.arange(count + 1), np.arange(count + 1), indexing="ij")
        shares = np.stack([i, j, count - i - j], axis=2)[i + j <= count] / count
        for some in np.array_split(corners[steps == count], 1 + (steps == count).sum() * len(shares) // 4_000_000):
            yield np.einsum("sk,fkx->fsx", shares, some).reshape(-1, 3)


def neighbours(cells: np.ndarray) -> np.ndarray:
    """How many of the 27 cells around each one are set."""
    count = cells.astype(np.int8)
    for axis in range(3):
        count = count + np.roll(count, 1, axis) + np.roll(count, -1, axis)
    return count


def boundary(body: Solid) -> tuple[np.ndarray, np.ndarray]:
    """The faces between full and empty cells as a closed mesh, turned outward: verts [V, 3] float32, triangles [F, 3]
    int32."""
    quads = []
    for axis in range(3):
        step = np.eye(3, dtype=int)[axis]
        u, v = np.eye(3, dtype=int)[[(axis + 1) % 3, (axis + 2) % 3]]
        for side in (1, -1):
            at = np.argwhere(body.full & ~np.roll(body.full, -side, axis)) + (step if side > 0 else 0)
            around = (0 * u, u, u + v, v) if side > 0 else (0 * u, v, u + v, u)
            quads.append(np.stack([at + corner for corner in around], axis=1))
    corners = np.concatenate(quads)
    size = np.array(body.full.shape) + 1
    keys, index = np.unique(np.ravel_multi_index(corners.reshape(-1, 3).T, size), return_inverse=True)
    quad = index.reshape(-1, 4)
    verts = body.low + np.stack(np.unravel_index(keys, size), axis=1) * body.cell
    return verts.astype(np.float32), np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]]).astype(np.int32)
