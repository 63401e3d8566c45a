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
    radii: Tensor | None   # of the pivots, if vertices on long edges shall move to the inner end

    @property
    def counts(self) -> Tensor | None:
        """[3] int32 on the GPU, what the host must know to go on; None on the CPU, where it does."""
        return self.crossings.counts

    def surface(self, counts: list[int] | None = None) -> Surface:
        """The surface; counts: those above, if the host has read them. Else this waits for the GPU."""
        verts, faces, edge_ids = crossed_surface(self.points, self.sdf, self.crossings, counts)
        return Surface(verts if self.radii is None else self._collapsed(verts, edge_ids), faces)

    def _collapsed(self, verts: Tensor, edge_ids: Tensor) -> Tensor:
        ends = self.crossings.topology.edges.index_select(0, edge_ids).long()       # [V, 2]
        points = self.points[ends]
        long = (points[:, 0] - points[:, 1]).detach().norm(dim=1) > self.radii[ends].sum(1)
        inner = self.sdf[ends].argmin(1)
        return torch.where(long[:, None], points[torch.arange(len(ends), device=ends.device), inner], verts)


def triangulate(points: Tensor) -> TetTopology:
    """Delaunay tetrahedra of pivots [P, 3] (detached), with the edge table that marching tetrahedra need."""
    return tet_topology(delaunay(points.detach()).to(points.device), len(points))


def surface_ahead(pivots: Pivots, sdf: Tensor, topology: TetTopology, long_edges: str = "drop") -> SurfaceAhead:
    """Marching tetrahedra, without the faces that hang on edges longer than the two pivots' radii together.

    Args:
        pivots: points [P, 3] and radii [P].
        sdf: [P], positive outside.
        topology: of the pivots, perhaps of an earlier iteration (connectivity is fixed between triangulations).
        long_edges: "drop" those faces, "keep" them, or "collapse": move their vertices to the ends of smaller sdf.
    """
    crossings = find_crossings(pivots.points, sdf, topology, pivots.radii if long_edges == "drop" else None)
    return SurfaceAhead(pivots.points, sdf, crossings, pivots.radii if long_edges == "collapse" else None)


def extract_surface(pivots: Pivots, sdf: Tensor, topology: TetTopology, long_edges: str = "drop") -> Surface:
    """The same at once."""
    return surface_ahead(pivots, sdf, topology, long_edges).surface()


def compact(verts: Tensor, faces: Tensor, *attributes: Tensor) -> tuple[Tensor, ...]:
    """Drop vertices that no face uses: (verts, faces int32, *attributes), all per-vertex tensors reindexed."""
    used = torch.zeros(len(verts), dtype=torch.bool, device=verts.device)
    used[faces.reshape(-1).long()] = True
    renumbered = torch.cumsum(used, 0, dtype=torch.int32) - 1
    return (verts[used], renumbered[faces.long()], *(attribute[used] for attribute in attributes))
