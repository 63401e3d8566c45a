# SPDX-License-Identifier: Apache-2.0
"""The mesh between pivots of opposite sign (spec training.md 5.3 and 5.5)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from milo.cuda_ext.delaunay import delaunay
from milo.cuda_ext.tets import TetTopology, marching_tetrahedra, tet_topology

from .pivots import Pivots


class Surface(NamedTuple):
    """A mesh whose vertices lie on pivot edges. `all_faces` has those of over-long edges too (labels need them)."""

    verts: Tensor       # [V, 3] differentiable
    faces: Tensor       # [F, 3] int32, kept faces
    all_faces: Tensor   # [G, 3] int32


def triangulate(points: Tensor) -> TetTopology:
    """Delaunay tetrahedra of pivots [P, 3] (detached), with the edge table that marching tetrahedra need."""
    return tet_topology(delaunay(points.detach()).to(points.device), len(points))


def extract_surface(pivots: Pivots, sdf: Tensor, topology: TetTopology) -> Surface:
    """Marching tetrahedra, then without the faces that hang on edges longer than the two pivots' radii together.

    Args:
        pivots: points [P, 3] and radii [P].
        sdf: [P], positive outside.
        topology: of the pivots, perhaps of an earlier iteration (connectivity is fixed between triangulations).
    """
    verts, all_faces, edge_ids = marching_tetrahedra(pivots.points, sdf, topology)
    good = on_short_edges(pivots, topology, edge_ids)
    kept = good.index_select(0, all_faces.reshape(-1)).view(-1, 3).all(dim=1)
    return Surface(verts, all_faces[kept], all_faces)


@torch.no_grad()
def on_short_edges(pivots: Pivots, topology: TetTopology, edge_ids: Tensor) -> Tensor:
    """[V] bool: which vertices lie on edges no longer than the two pivots' radii together; edge_ids [V] int32."""
    ends = topology.edges.index_select(0, edge_ids)                                            # [V, 2]
    a, b = ends[:, 0], ends[:, 1]
    points, radii = pivots.points.detach(), pivots.radii
    length = (points.index_select(0, a) - points.index_select(0, b)).norm(dim=1)
    return length <= radii.index_select(0, a) + radii.index_select(0, b)


def compact(verts: Tensor, faces: Tensor, *attributes: Tensor) -> tuple[Tensor, ...]:
    """Drop vertices that no face uses: (verts, faces int32, *attributes), all per-vertex tensors reindexed."""
    used = torch.zeros(len(verts), dtype=torch.bool, device=verts.device)
    used[faces.reshape(-1).long()] = True
    renumbered = torch.cumsum(used, 0, dtype=torch.int32) - 1
    return (verts[used], renumbered[faces.long()], *(attribute[used] for attribute in attributes))
