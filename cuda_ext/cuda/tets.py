# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from .runtime import blocks, load

_RUN = 512     # edges or tetrahedra of a warp, as in tets.cu
_BLOCK = 128   # 4 warps, as in tets.cu
_PART = 1 << 20   # tetrahedra whose edges are sorted at once


def unique_edges(tets, num_points, tet_edges):
    """[E, 2] int32; fills tet_edges [T, 6]. Made of torch's sort: it runs once per triangulation.

    In parts, because a sort needs several times the memory of what it sorts.
    """
    if not len(tets):
        return tets.new_empty(0, 2)
    num_points = max(num_points, 1)
    parts = tets.split(_PART)
    unique = torch.cat([torch.unique(_keys(part, num_points)) for part in parts])
    if len(parts) > 1:
        unique = torch.unique(unique)
    for part, rows in zip(parts, tet_edges.split(_PART)):
        rows.copy_(torch.searchsorted(unique, _keys(part, num_points), out_int32=True))
    return torch.stack([unique // num_points, unique % num_points], 1).int()


def _keys(tets, num_points):
    """[T, 6] int64: the order of edges."""
    corners = tets.long()
    first, second = corners[:, [0, 0, 0, 1, 1, 2]], corners[:, [1, 2, 3, 2, 3, 3]]
    return torch.minimum(first, second) * num_points + torch.maximum(first, second)


class Crossings:
    """A surface of which the GPU knows where everything goes; its size, counts, is not on the host yet."""

    def __init__(self, points, sdf, radii, tets, edges, tet_edges):
        self.num_edges, self.num_tets, self.edges, self.tet_edges = len(edges), len(tets), edges, tet_edges
        kernels = load("tets.cu", points.device, points.dtype)
        ints = {"dtype": torch.int32, "device": points.device}
        self.edge_runs, tet_runs = -(-self.num_edges // _RUN), -(-self.num_tets // _RUN)
        signs = torch.empty(blocks(len(points), 32), **ints)
        self.words = torch.empty(self.edge_runs * _RUN // 32, 4, **ints)
        self.codes = torch.empty(tet_runs * _RUN, dtype=torch.uint8, device=points.device)
        self.runs = torch.empty(self.edge_runs + 2 * tet_runs, **ints)
        self.counts = torch.empty(3, **ints)   # vertices, faces of tetrahedra with one, faces of those with two
        kernels.launch("pack_signs", blocks(len(points), 256), 256, sdf, len(points), signs)
        kernels.launch(
            "classify_edges", self._grid(self.edge_runs), _BLOCK, signs, points, radii, edges, self.num_edges,
            self.words, self.runs,
        )  # fmt: skip
        kernels.launch(
            "classify_tets", self._grid(tet_runs), _BLOCK, signs, tets, self.num_tets, tet_edges, self.words,
            radii is not None, self.codes, self.runs[self.edge_runs :],
        )  # fmt: skip
        kernels.launch("scan_runs", 3, 1024, self.runs, self.edge_runs, tet_runs, self.counts)

    def surface(self, points, sdf, counts):
        """verts, faces, edge_ids; counts: on the host."""
        num_verts, ones, twos = counts
        kernels = load("tets.cu", points.device, points.dtype)
        verts = points.new_empty(num_verts, 3)
        edge_ids, faces = self.counts.new_empty(num_verts), self.counts.new_empty(ones + twos, 3)
        kernels.launch(
            "place_vertices", self._grid(self.edge_runs), _BLOCK, points, sdf, self.edges, self.num_edges, self.words,
            self.runs, verts, edge_ids,
        )  # fmt: skip
        kernels.launch(
            "place_faces", self._grid(-(-self.num_tets // _RUN)), _BLOCK, self.tet_edges, self.codes, self.num_tets,
            self.words, self.runs[self.edge_runs :], self.counts, faces,
        )  # fmt: skip
        return verts, faces, edge_ids

    @staticmethod
    def _grid(runs):
        return blocks(32 * runs, _BLOCK)


def find_crossings(points, sdf, radii, tets, edges, tet_edges):
    return Crossings(points, sdf, radii, tets, edges, tet_edges)


def march_backward(points, sdf, edges, edge_ids, grad_verts, grad_points, grad_sdf):
    load("tets.cu", points.device, points.dtype).launch(
        "march_backward", blocks(len(edge_ids), 256), 256, points, sdf, edges, edge_ids, len(edge_ids), grad_verts,
        grad_points, grad_sdf,
    )  # fmt: skip
