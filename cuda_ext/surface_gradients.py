# SPDX-License-Identifier: Apache-2.0
"""Deformation gradients of a triangle mesh (spec extraction_evaluation_editing.md, 3.7.3). No gradients of autograd."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver

NORMAL_STRETCH = ("uniform", "thickness", "volume")


class RestShape(NamedTuple):
    """Triangles before the deformation; float32 but for what is said."""

    faces: Tensor     # [F, 3] int32, in range
    duals: Tensor     # [F, 2, 3] of the two edges at the first corner
    normals: Tensor   # [F, 3]
    areas: Tensor     # [F] twice the area
    good: Tensor      # [F] bool: not a sliver
    flip: Tensor      # [F] +1, or -1 where the normal of the deformed triangle is taken the other way


def triangle_gradients(positions: Tensor, rest: RestShape, normal_stretch: str = "uniform") -> tuple[Tensor, Tensor]:
    """F [F, 3, 3] of each triangle, and its weight [F]: `areas`, 0 for slivers and where it has collapsed.

    Args:
        positions: [V, 3] float32, deformed.
        rest: the triangles.
        normal_stretch: across the surface, "uniform" (as along it), "thickness" (kept) or "volume" (kept).

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the stretch is unknown; the message names the argument.
    """
    check_tensor("positions", positions, ("V", 3))
    check_tensor("faces", rest.faces, ("F", 3), (torch.int32,))
    count = len(rest.faces)
    check_tensor("duals", rest.duals, (count, 2, 3))
    check_tensor("normals", rest.normals, (count, 3))
    check_tensor("areas", rest.areas, (count,))
    check_tensor("good", rest.good, (count,), (torch.bool,))
    check_tensor("flip", rest.flip, (count,))
    check_device(positions=positions, **rest._asdict())
    if normal_stretch not in NORMAL_STRETCH:
        raise ValueError(f"normal_stretch must be one of {', '.join(NORMAL_STRETCH)}, not {normal_stretch}.")
    F, weights = positions.new_empty(count, 3, 3), positions.new_empty(count)
    rest = rest._replace(good=rest.good.view(torch.uint8))
    kind = NORMAL_STRETCH.index(normal_stretch)
    driver(F).triangle_gradients(kernel_ready(positions), *map(kernel_ready, rest), kind, F, weights)
    return F, weights


def vertex_gradients(F: Tensor, weights: Tensor, begins: Tensor, incident: Tensor) -> tuple[Tensor, Tensor]:
    """Means [G, 3, 3] of the gradients around each vertex, and their total weight [G] (0: none counts, the mean is 0).

    Where rotations differ by more than 30 degrees from their mean, rotations and stretches are blended apart.

    Args:
        F, weights: [T, 3, 3] and [T] of triangles.
        begins: [G + 1] int32: triangles incident[begins[g] : begins[g + 1]] are around vertex g.
        incident: int32, in range.

    Raises:
        ValueError: shapes, dtypes or devices do not agree; the message names the argument.
    """
    check_tensor("F", F, ("T", 3, 3))
    check_tensor("weights", weights, (len(F),))
    check_tensor("begins", begins, ("G + 1",), (torch.int32,))
    check_tensor("incident", incident, ("any",), (torch.int32,))
    check_device(F=F, weights=weights, begins=begins, incident=incident)
    out, totals = F.new_empty(len(begins) - 1, 3, 3), F.new_empty(len(begins) - 1)
    driver(F).vertex_gradients(*map(kernel_ready, (F, weights, begins, incident)), out, totals)
    return out, totals
