# SPDX-License-Identifier: Apache-2.0
"""Oracle of milo.cuda_ext.tets, in plain PyTorch: edges by torch.unique, gradients by autograd (training.md, 5.5)."""

from __future__ import annotations

import torch

EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))

# By code (bit i: vertex i has sdf > 0), the edges of the triangles.  A lone vertex: those at it, such that the normal
# points to it if it is the one with sdf > 0, else away.  Two against two: the quad around, cut along its diagonal.
TRIANGLES = {
    0b0001: [(0, 2, 1)], 0b0010: [(0, 3, 4)], 0b0100: [(1, 5, 3)], 0b1000: [(2, 4, 5)],
    0b1110: [(0, 1, 2)], 0b1101: [(0, 4, 3)], 0b1011: [(1, 3, 5)], 0b0111: [(2, 5, 4)],
    0b0011: [(1, 4, 2), (1, 3, 4)], 0b1100: [(1, 2, 4), (1, 4, 3)],
    0b0101: [(2, 3, 0), (2, 5, 3)], 0b1010: [(2, 0, 3), (2, 3, 5)],
    0b1001: [(1, 4, 5), (1, 0, 4)], 0b0110: [(1, 5, 4), (1, 4, 0)],
}  # fmt: skip


def tet_topology(tets):
    """tets [T, 4] -> unique edges [E, 2] with a < b, lexicographic, and edges of tetrahedra [T, 6], all int64."""
    ends = tets.long()[:, torch.tensor(EDGES)].sort(dim=-1).values
    edges, tet_edges = ends.reshape(-1, 2).unique(dim=0, return_inverse=True)
    return edges.reshape(-1, 2), tet_edges.reshape(-1, 6)


def marching_tetrahedra(points, sdf, tets, radii=None):
    """points [P, 3], sdf [P], tets [T, 4] -> verts [M, 3], faces [F, 3], edge ids [M]; autograd to points and sdf."""
    return surface(points, sdf, tets, *tet_topology(tets), radii)


def surface(points, sdf, tets, edges, tet_edges, radii=None):
    """`marching_tetrahedra` with the edge table given."""
    positive = sdf > 0
    edge_ids = (positive[edges[:, 0]] != positive[edges[:, 1]]).nonzero().flatten()
    vertex_of_edge = torch.full((len(edges),), -1)
    vertex_of_edge[edge_ids] = torch.arange(len(edge_ids))

    a, b = edges[edge_ids].unbind(1)
    weight_a, weight_b = sdf[b].abs()[:, None], sdf[a].abs()[:, None]
    verts = (points[a] * weight_a + points[b] * weight_b) / (weight_a + weight_b)

    codes = (positive[tets.long()] * torch.tensor([1, 2, 4, 8])).sum(1)
    table = torch.zeros(16, 2, 3, dtype=torch.long)
    count = torch.zeros(16, dtype=torch.long)
    for code, triangles in TRIANGLES.items():
        count[code] = len(triangles)
        table[code, : len(triangles)] = torch.tensor(triangles)
    faces = []
    for n in (1, 2):
        cells = count[codes] == n
        corners = table[codes[cells], :n].reshape(-1, 3 * n)
        faces.append(vertex_of_edge[tet_edges[cells].gather(1, corners)].reshape(-1, 3))
    faces = torch.cat(faces)
    if radii is not None:
        kept = (points[a] - points[b]).norm(dim=1) <= radii[a] + radii[b]
        faces = faces[kept[faces].all(dim=1)]
    return verts, faces, edge_ids
