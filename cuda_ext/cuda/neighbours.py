# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import NamedTuple

import torch

from .runtime import blocks, load

_BOX = 128   # points of a box, as in neighbours.cu


def mean_sq_distance(points, out):
    count = len(points)
    if count == 0:
        return
    kernels, _, points, boxes = _boxed(points)
    kernels.launch("mean_sq_distance", blocks(count, 128), 128, points, count, boxes, out)


def nearest(points, queries, dist2, index):
    if len(queries) == 0:
        return
    kernels, codes, points, boxes = _boxed(points)
    _, query_codes, queries, _ = _boxed(queries, bounds=codes.bounds)
    homes = (torch.searchsorted(codes.values, query_codes.values) // _BOX).clamp_(max=len(boxes) - 1).int()
    count, k = dist2.shape
    kernels.launch(
        "nearest", blocks(count, 128), 128, points, len(points), boxes, queries, homes, count, k, dist2, index
    )


class _Codes(NamedTuple):
    """Places on the space-filling curve, ascending, and the bounds [3] that they were made with."""

    values: torch.Tensor
    bounds: tuple[torch.Tensor, torch.Tensor]


def _boxed(points, bounds=None):
    """The kernels; the sorted codes; the points [N, 4] in their order, with the bits of their index; their boxes."""
    count = len(points)
    kernels = load("neighbours.cu", points.device)
    bounds = bounds or (points.amin(0), points.amax(0))
    codes = torch.empty(count, dtype=torch.int32, device=points.device)
    kernels.launch("curve_codes", blocks(count, 256), 256, points, count, *bounds, codes)
    values, order = codes.sort()
    sorted_points, boxes = points.new_empty(count, 4), points.new_empty(blocks(count, _BOX), 6)
    kernels.launch("make_boxes", len(boxes), _BOX, points, order, count, sorted_points, boxes)
    return kernels, _Codes(values, bounds), sorted_points, boxes
