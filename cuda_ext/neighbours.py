# SPDX-License-Identifier: Apache-2.0
"""Exact nearest neighbours of points in space (spec rasterization.md, 6.1)."""

from __future__ import annotations

import torch

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver


def mean_sq_distance(points):
    """Mean of the squared distances to the three nearest other points.

    Other means another index: duplicates are neighbours at distance 0.

    Args:
        points: [N, 3] float32, finite.

    Returns:
        [N] float32, in squared units of the points; infinite where there are fewer than three others.

    Raises:
        ValueError: points has another shape or dtype, or a value that is not finite.
    """
    _check_points("points", points)
    out = points.new_empty(len(points))
    driver(points).mean_sq_distance(kernel_ready(points), out)
    return out


def nearest(points, queries, k):
    """The k points nearest to each query, nearest first, equal distances by lower index.

    Args:
        points: [N, 3] float32, finite.
        queries: [M, 3] float32, finite.
        k: how many, 1 <= k <= N.

    Returns:
        squared distances [M, k] float32 and indices [M, k] int32.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, a value is not finite, or k is out of range.
    """
    _check_points("points", points)
    _check_points("queries", queries)
    if not 1 <= k <= points.shape[0]:
        raise ValueError(f"k must be between 1 and the number of points, {points.shape[0]}; it is {k}.")
    check_device(points=points, queries=queries)
    dist2 = points.new_empty(len(queries), k)
    index = torch.empty(len(queries), k, dtype=torch.int32, device=points.device)
    driver(points).nearest(kernel_ready(points), kernel_ready(queries), dist2, index)
    return dist2, index


def _check_points(name, points):
    check_tensor(name, points, ("N", 3))
    if not torch.isfinite(points).all():
        raise ValueError(f"{name} has values that are not finite; remove those rows first.")
