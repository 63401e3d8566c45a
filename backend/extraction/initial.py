# SPDX-License-Identifier: Apache-2.0
"""The occupancy from which the refinement starts (spec extraction 1.1, step C)."""

from __future__ import annotations

import torch
from torch import Tensor

from milo.backend.mesh.occupancy import occupancy_from_sdf
from milo.backend.mesh.pivots import Pivots, from_pivot_order
from milo.cuda_ext.tets import TetTopology, marching_tetrahedra

from .point_fields import Field, Steps, bisected


@torch.no_grad()
def logits_of_field(field: Field, pivots: Pivots, topology: TetTopology, settings) -> Steps:
    """Occupancy logits [n, 9] that have the zeros of a field.

    Args:
        field: evaluated at the pivots, and on crossing edges in the bisection.
        pivots: 9n; topology: their tetrahedra.
        settings: the section extract of the configuration: binary_steps, linear_steps, linear_std.
    """
    values = yield from field.at(pivots.points, "field")
    sdf = values.clamp(-1, 1)      # what no view has judged must not outweigh the rest
    if settings.binary_steps:
        _, _, edge_ids = marching_tetrahedra(pivots.points, sdf, topology)
        edges = topology.edges[edge_ids].long()
        crossings = yield from bisected(field, pivots.points[edges], sdf[edges] > 0, settings.binary_steps)
        sdf = linearised(sdf, pivots.points, edges, crossings, settings.linear_steps, settings.linear_std)
    else:
        sdf = sdf / sdf.abs().max().clamp_min(1e-12)
    return torch.logit(occupancy_from_sdf(from_pivot_order(sdf)))


def linearised(sdf: Tensor, points: Tensor, edges: Tensor, crossings: Tensor, steps: int, std: float) -> Tensor:
    """Values of which linear interpolation along crossing edges finds the crossings, nearly.

    Args:
        sdf: [P] values; points: [P, 3] where.
        edges: [M, 2] int64, ends of opposite sign; crossings: [M, 3] the field's zeros on them.
        steps: passes in which each end takes the mean of what its edges propose.
        std: standard deviation of the result, before it is clamped to [-1, 1].
    """
    length = (points[edges[:, 0]] - points[edges[:, 1]]).norm(dim=1).clamp_min(1e-8)
    share = (crossings[:, None] - points[edges]).norm(dim=2) / length[:, None]     # [M, 2]
    ends = edges.reshape(-1)
    count = torch.zeros_like(sdf).index_add_(0, ends, torch.ones_like(share).reshape(-1))
    sign = torch.where(sdf > 0, 1.0, -1.0).to(sdf.dtype)
    for _ in range(steps):
        total = sdf[edges].abs().sum(dim=1, keepdim=True)                          # [M, 1]
        proposed = torch.zeros_like(sdf).index_add_(0, ends, (share * total).reshape(-1))
        sdf = torch.where(count > 0, sign * proposed / count.clamp_min(1), sdf)
    return (sdf * (std / sdf.std().clamp_min(1e-12))).clamp(-1, 1)
