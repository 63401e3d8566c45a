# SPDX-License-Identifier: Apache-2.0
"""Closest points on a triangle mesh (spec extraction_evaluation_editing.md, 3.7)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .arguments import check_tensor, kernel_ready
from .native import native


class ClosestFaces(NamedTuple):
    """Hits of all points one after the other, those of a point by face."""

    counts: Tensor   # [N] int32, hits of each point, at least 1
    faces: Tensor    # [M] int32
    shares: Tensor   # [M, 3] float32, barycentric coordinates of the closest point, each in [0, 1]


def closest_on_mesh(points, verts, faces, slack=None):
    """The faces closest to each point, and where on them. Exact; computed on the CPU in double precision.

    Args:
        points: [N, 3] float32, finite.
        verts: [V, 3] float32, finite.
        faces: [F, 3] int32, F > 0, indices of verts. Faces without an area count as their edges.
        slack: [N] float32 >= 0, or None. None: one face a point, of equally close ones the first. Else all faces that
            are farther than the closest one by at most this much.

    Returns:
        ClosestFaces, on the device of the points.

    Raises:
        ValueError: shapes or dtypes do not agree, there are no faces, or an index or value is out of range.
    """
    check_tensor("points", points, ("N", 3))
    check_tensor("verts", verts, ("V", 3))
    check_tensor("faces", faces, ("F", 3), (torch.int32,))
    if slack is None:
        slack = points.new_full((len(points),), -1.0)
    else:
        check_tensor("slack", slack, (len(points),))
        if len(slack) and not slack.min() >= 0:
            raise ValueError("slack must not be negative.")
    if not len(faces):
        raise ValueError("faces is empty: there is no closest one.")
    if faces.min() < 0 or faces.max() >= len(verts):
        raise ValueError(f"faces has an index outside of the {len(verts)} verts.")
    for name, values in (("points", points), ("verts", verts)):
        if not torch.isfinite(values).all():
            raise ValueError(f"{name} has values that are not finite.")
    found = native.closest_on_mesh(*(kernel_ready(tensor.cpu()) for tensor in (points, verts, faces, slack)))
    return ClosestFaces(*(torch.from_numpy(array).to(points.device) for array in found))
