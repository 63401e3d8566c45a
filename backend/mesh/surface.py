# SPDX-License-Identifier: Apache-2.0
"""The mesh between pivots of opposite sign (spec training.md 5.3 and 5.5)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from milo.cuda_ext.delaunay import delaunay
from milo.cuda_ext.tets import Crossings, TetTopology, crossed_surface, find_crossings, tet_topology

from .pivots import Pivots


class Surface(NamedTuple):
    """A mesh whose vertices lie on pivot edges."""

    verts: Tensor   # [V, 3] differentiable
    faces: Tensor   # [F, 3] int32


class SurfaceAhead(NamedTuple):
    """A surface of which only the GPU knows the size yet."""

    points: Tensor
    sdf: Tensor
    crossings: Crossings

    @property
    def counts(self) -> Tensor | None:
        """[3] int32 on the GPU, what the host must know to go on; None on the CPU, where it does."""
        return self.crossings.counts

    def surface(self, counts: list[int] | None = None) -> Surface:
        """The surface; counts: those above, if the host has read them. Else this waits for the GPU."""
        verts, faces, _ = crossed_surface(self.points, self.sdf, self.crossings, counts)
        return Surface(verts, faces)


def triangulate(points: Tensor) -> TetTopology:
    """Delaunay tetrahedra of pivots [P, 3] (detached), with the edge table that marching tetrahedra need."""
    return tet_topology(delaunay(points.detach()).to(points.device), len(points))


def surface_ahead(pivots: Pivots, sdf: Tensor, topology: TetTopology) -> SurfaceAhead:
    """Marching tetrahedra, without the faces that hang on edges longer than the two pivots' radii together.

    Args:
        pivots: points [P, 3] and radii [P].
        sdf: [P], positive outside.
        topology: of the pivots, perhaps of an earlier iteration (connectivity is fixed between triangulations).
    """
    return SurfaceAhead(pivots.points, sdf, find_crossings(pivots.points, sdf, topology, pivots.radii))


def extract_surface(pivots: Pivots, sdf: Tensor, topology: TetTopology) -> Surface:
    """The same at once."""
    return surface_ahead(pivots, sdf, topology).surface()


def compact(verts: Tensor, faces: Tensor, *attributes: Tensor) -> tuple[Tensor, ...]:
    """Drop vertices that no face uses: (verts, faces int32, *attributes), all per-vertex tensors reindexed."""
    used = torch.zeros(len(verts), dtype=torch.bool, device=verts.device)
    used[faces.reshape(-1).long()] = True
    renumbered = torch.cumsum(used, 0, dtype=torch.int32) - 1
    return (verts[used], renumbered[faces.long()], *(attribute[used] for attribute in attributes))
