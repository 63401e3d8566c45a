# SPDX-License-Identifier: Apache-2.0
"""Differentiable marching tetrahedra (spec training.md, 5.5), on an edge table that is built once per triangulation.

    topology = tet_topology(delaunay(points), len(points))
    verts, faces, edge_ids = marching_tetrahedra(points, sdf, topology)
    ends = topology.edges[edge_ids]          # [M, 2]: the two points between which each vertex lies
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver

_FLOATS = (torch.float32, torch.float64)


class TetTopology(NamedTuple):
    """Tetrahedra and their unique edges."""

    tets: Tensor        # [T, 4] int32
    edges: Tensor       # [E, 2] int32, (a, b) with a < b, in lexicographic order
    tet_edges: Tensor   # [T, 6] int32, rows of edges, in the order (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)
    num_points: int


@torch.no_grad()
def tet_topology(tets, num_points):
    """Find the unique edges of tetrahedra.

    Args:
        tets: [T, 4] int32, indices of points, four different ones each.
        num_points: P, how many points there are.

    Raises:
        ValueError: tets has another shape or dtype, or an index outside 0 .. num_points - 1.
    """
    check_tensor("tets", tets, ("T", 4), (torch.int32,))
    tets = kernel_ready(tets)
    if len(tets):
        low, high = torch.aminmax(tets)
        if low < 0 or high >= num_points:
            raise ValueError(f"tets has indices from {low} to {high}, but there are {num_points} points.")
    tet_edges = torch.empty(len(tets), 6, dtype=torch.int32, device=tets.device)
    edges = torch.as_tensor(driver(tets).unique_edges(tets, num_points, tet_edges))
    return TetTopology(tets, edges, tet_edges, num_points)


class Crossings(NamedTuple):
    """Where a surface crosses the edges, as `find_crossings` leaves it."""

    topology: TetTopology
    found: object           # the driver's
    counts: Tensor | None   # [3] int32 on the GPU: what the host must know to go on; None where it knows already


@torch.no_grad()
def find_crossings(points, sdf, topology, radii=None):
    """The first half of `marching_tetrahedra`: it waits for nothing, so that one wait can serve several ops.

        crossings = find_crossings(points, sdf, topology, radii)
        ...                                                   # what else the GPU has to say
        counts = crossings.counts.tolist()                    # on a GPU
        verts, faces, edge_ids = crossed_surface(points, sdf, crossings, counts)

    Arguments and errors as in `marching_tetrahedra`.
    """
    check_tensor("points", points, (topology.num_points, 3), _FLOATS)
    check_tensor("sdf", sdf, (topology.num_points,), (points.dtype,))
    check_device(points=points, sdf=sdf, topology=topology.tets)
    if radii is not None:
        check_tensor("radii", radii, (topology.num_points,), (points.dtype,))
        check_device(points=points, radii=radii)
        radii = kernel_ready(radii)
    found = driver(points).find_crossings(
        kernel_ready(points), kernel_ready(sdf), radii, topology.tets, topology.edges, topology.tet_edges
    )
    return Crossings(topology, found, found.counts)


def crossed_surface(points, sdf, crossings, counts=None):
    """The second half of `marching_tetrahedra`, with the same points and sdf.

    Args:
        counts: what `crossings.counts` holds, as a list; None: read it here, which waits for the GPU.
    """
    if counts is None and crossings.counts is not None:
        counts = crossings.counts.tolist()
    return _Surface.apply(points, sdf, crossings, counts)


def marching_tetrahedra(points, sdf, topology, radii=None):
    """The surface sdf = 0, with one vertex on each edge whose ends differ in [sdf > 0].

    Faces look towards sdf > 0 where tetrahedra are positively oriented. If no tetrahedron lies at the border of the set
    with sdf <= 0 at one of its points, the surface is closed. It may be empty.

    Args:
        points: [P, 3] float32 or float64.
        sdf: [P], same dtype; a value of exactly 0 counts as inside.
        topology: of `tet_topology`, for P points.
        radii: [P], same dtype, or None. With radii, faces with a vertex on an edge longer than its ends' radii together
            are left out; their vertices are there nevertheless.

    Returns:
        verts [M, 3], in the order of their edges, differentiable in points and sdf (on the CPU the same to the bit for
        any number of threads); faces [F, 3] int32, cells with one triangle before cells with two; edge_ids [M] int32,
        ascending, rows of topology.edges.

    Raises:
        ValueError: shapes, dtypes or devices do not agree.
    """
    return crossed_surface(points, sdf, find_crossings(points, sdf, topology, radii))


class _Surface(torch.autograd.Function):
    @staticmethod
    def forward(ctx, points, sdf, crossings, counts):
        points, sdf = kernel_ready(points), kernel_ready(sdf)
        verts, faces, edge_ids = map(torch.as_tensor, crossings.found.surface(points, sdf, counts))
        ctx.save_for_backward(points, sdf, crossings.topology.edges, edge_ids)
        ctx.mark_non_differentiable(faces, edge_ids)
        ctx.set_materialize_grads(False)
        return verts, faces, edge_ids

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_verts, _faces, _edge_ids):
        points, sdf, edges, edge_ids = ctx.saved_tensors
        if grad_verts is None:
            return (None,) * 4
        grad_points, grad_sdf = torch.zeros_like(points), torch.zeros_like(sdf)
        driver(points).march_backward(points, sdf, edges, edge_ids, kernel_ready(grad_verts), grad_points, grad_sdf)
        return grad_points, grad_sdf, None, None
