# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from .runtime import blocks, load

_RUN = 512     # edges or tetrahedra of a warp, as in tets.cu
_BLOCK = 128   # 4 warps, as in tets.cu


def unique_edges(tets, num_points, tet_edges):
    """[E, 2] int32; fills tet_edges [T, 6]. Made of torch's sort: it runs once per triangulation."""
    if not len(tets):
        return tets.new_empty(0, 2)
    corners = tets.long()
    first, second = corners[:, [0, 0, 0, 1, 1, 2]], corners[:, [1, 2, 3, 2, 3, 3]]
    keys = torch.minimum(first, second) * max(num_points, 1) + torch.maximum(first, second)
    unique, rows = torch.unique(keys, return_inverse=True)
    tet_edges.copy_(rows)
    return torch.stack([unique // max(num_points, 1), unique % max(num_points, 1)], 1).int()


def march(points, sdf, tets, edges, tet_edges):
    """verts, faces, edge_ids. Waits for the GPU once: for their sizes."""
    num_points, num_edges, num_tets = len(points), len(edges), len(tets)
    kernels = load("tets.cu", points.device, points.dtype)
    ints = {"dtype": torch.int32, "device": points.device}
    edge_runs, tet_runs = -(-num_edges // _RUN), -(-num_tets // _RUN)
    signs = torch.empty(blocks(num_points, 32), **ints)
    words = torch.empty(edge_runs * _RUN // 32, 2, **ints)
    codes = torch.empty(tet_runs * _RUN, dtype=torch.uint8, device=points.device)
    runs = torch.empty(edge_runs + 2 * tet_runs, **ints)
    sums = torch.empty(3, **ints)
    kernels.launch("pack_signs", blocks(num_points, 256), 256, sdf, num_points, signs)
    kernels.launch(
        "classify", blocks(32 * (edge_runs + tet_runs), _BLOCK), _BLOCK, signs, edges, num_edges, tets, num_tets, words,
        codes, runs,
    )  # fmt: skip
    kernels.launch("scan_runs", 3, 1024, runs, edge_runs, tet_runs, sums)
    num_verts, ones, twos = sums.tolist()
    verts = points.new_empty(num_verts, 3)
    edge_ids, faces = torch.empty(num_verts, **ints), torch.empty(ones + 2 * twos, 3, **ints)
    kernels.launch(
        "place_vertices", blocks(32 * edge_runs, _BLOCK), _BLOCK, points, sdf, edges, num_edges, words, runs, verts,
        edge_ids,
    )  # fmt: skip
    one_runs, two_runs = runs[edge_runs : edge_runs + tet_runs], runs[edge_runs + tet_runs :]
    kernels.launch(
        "place_faces", blocks(32 * tet_runs, _BLOCK), _BLOCK, tet_edges, codes, num_tets, words, one_runs, two_runs,
        sums, faces,
    )  # fmt: skip
    return verts, faces, edge_ids


def march_backward(points, sdf, edges, edge_ids, grad_verts, grad_points, grad_sdf):
    load("tets.cu", points.device, points.dtype).launch(
        "march_backward", blocks(len(edge_ids), 256), 256, points, sdf, edges, edge_ids, len(edge_ids), grad_verts,
        grad_points, grad_sdf,
    )  # fmt: skip
