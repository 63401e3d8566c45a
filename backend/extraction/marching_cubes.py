# SPDX-License-Identifier: Apache-2.0
"""Marching cubes on a sparse set of grid cells.

The table is derived, not copied. On each face of a cube the contour joins pairs of crossing edges; where a face has
four of them, each of its inside corners is cut off by itself, a rule that both cubes at the face share, so that the
surface has no cracks. Joined over the six faces these pieces form closed loops, which are cut into fans of triangles.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

# Corner c of a cell sits at its bits: x = c >> 2, y = c >> 1 & 1, z = c & 1.
# Edge 4 axis + k leads along the axis from the k-th corner that has 0 there.
EDGES = [(corner, corner | bit) for bit in (4, 2, 1) for corner in range(8) if not corner & bit]
AXES = [axis for axis in range(3) for _ in range(4)]
# Each face as its corners in a ring.
FACES = [[side, side | a, side | a | b, side | b] for bit, a, b in ((4, 2, 1), (2, 4, 1), (1, 4, 2))
         for side in (0, bit)]
MOST = 5              # triangles of a cell
HALF_RANGE = 1 << 19  # cells on either side of the origin


@cache
def triangle_table() -> Tensor:
    """[256, 5, 3] int64: the edges at which the triangles of each case lie, -1 beyond the last.

    Bit c of the case says that corner c is inside. Seen from outside, triangles turn counter-clockwise.
    """
    table = torch.full((256, MOST, 3), -1, dtype=torch.int64)
    for case in range(256):
        triangles = [(loop[0], loop[i], loop[i + 1]) for loop in _loops(case) for i in range(1, len(loop) - 1)]
        for i, triangle in enumerate(triangles):
            table[case, i] = torch.tensor(triangle)
    return table


def _loops(case: int) -> list[list[int]]:
    """Closed loops of crossing edges, all in the sense that faces outwards."""
    following: dict[int, int] = {}
    for ring in FACES:
        inside = [bool(case >> corner & 1) for corner in ring]
        for start in range(4):
            if not inside[start] or inside[start - 1]:
                continue              # a run of inside corners begins here; walk to its end
            end = start
            while inside[(end + 1) % 4]:
                end += 1
            enter = _edge(ring[start - 1], ring[start])
            leave = _edge(ring[end % 4], ring[(end + 1) % 4])
            a, b = (enter, leave) if _turns(ring) else (leave, enter)
            following[a] = b
    loops = []
    while following:
        loop = [next(iter(following))]
        while (after := following.pop(loop[-1])) != loop[0]:
            loop.append(after)
        loops.append(loop)
    return loops


def _edge(a: int, b: int) -> int:
    return EDGES.index((min(a, b), max(a, b)))


def _turns(ring: list[int]) -> bool:
    """True if the ring, seen from outside the cube, runs counter-clockwise."""
    p = [torch.tensor([corner >> 2 & 1, corner >> 1 & 1, corner & 1], dtype=torch.float32) for corner in ring]
    normal = torch.linalg.cross(p[1] - p[0], p[2] - p[1])
    return bool(normal @ (sum(p) / 4 - 0.5) > 0)


class CellSurface(NamedTuple):
    """The surface in some cells; one vertex per crossing edge of the grid."""

    keys: Tensor        # [M] int64, ascending: which edge of the grid; the same for the same edge in every call
    positions: Tensor   # [M, 3] float64, in cells
    faces: Tensor       # [F, 3] int64, towards positive values


def march_cells(cells: Tensor, corner_values: Tensor) -> CellSurface:
    """The surface value = 0 in some cells of a grid.

    Args:
        cells: [C, 3] int64, lowest corner of each cell, in cells; each coordinate in -2^19 .. 2^19 - 2.
        corner_values: [C, 8] values at the corners of each cell, in the order above; positive is outside, 0 inside.
    """
    device = cells.device
    case = ((corner_values <= 0) * torch.tensor([1 << c for c in range(8)], device=device)).sum(dim=1)
    triangles = triangle_table().to(device)[case]                                        # [C, 5, 3]
    cell, slot = (triangles[:, :, 0] >= 0).nonzero(as_tuple=True)
    edges = triangles[cell, slot].reshape(-1)                                            # [3 F]
    cell = cell.repeat_interleave(3)
    low, high = torch.tensor(EDGES, device=device)[edges].unbind(1)                      # corners
    axis = torch.tensor(AXES, device=device)[edges]
    origin = cells[cell] + torch.stack([low >> 2, low >> 1 & 1, low & 1], dim=1)
    shifted = origin + HALF_RANGE
    keys = (((shifted[:, 0] * (2 * HALF_RANGE) + shifted[:, 1]) * (2 * HALF_RANGE)) + shifted[:, 2]) * 3 + axis
    unique, vertex, first = first_of_each(keys)
    cell, low, high, axis = cell[first], low[first], high[first], axis[first]
    at_low, at_high = corner_values[cell, low].double(), corner_values[cell, high].double()
    positions = origin[first].double()
    positions[torch.arange(len(first), device=device), axis] += at_low / (at_low - at_high)
    return CellSurface(unique, positions, vertex.view(-1, 3))


def joined(parts: list[CellSurface]) -> CellSurface:
    """One surface of several, joined where they share edges of the grid."""
    keys, vertex, first = first_of_each(torch.cat([part.keys for part in parts]))
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + len(part.keys))
    faces = torch.cat([vertex[part.faces + start] for part, start in zip(parts, starts)])
    return CellSurface(keys, torch.cat([part.positions for part in parts])[first], faces)


def first_of_each(keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The different values [M] ascending, for each of `keys` [K] its row among them, and for each the first place."""
    unique, row = keys.unique(return_inverse=True)
    places = torch.arange(len(keys), device=keys.device)
    first = torch.full((len(unique),), len(keys), device=keys.device).scatter_reduce_(0, row, places, "amin")
    return unique, row, first
