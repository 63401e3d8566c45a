# SPDX-License-Identifier: Apache-2.0
"""Delaunay triangulation of points in space (spec training.md, 5.3)."""

from __future__ import annotations

import numpy as np
import torch

from .arguments import check_tensor, kernel_ready
from .native import native


class Stopped(Exception):
    """The triangulation was given up because its `stop` was set."""


def delaunay(points, *, threads=0, stop=None):
    """The tetrahedra whose circumspheres hold no point, exactly.

    The answer depends on the points alone: cospherical ones (grids, boxes) are told apart by symbolic perturbation, and
    the same set in another order gives the same tetrahedra. Of equal points the one with the lowest index is used; the
    others are in no tetrahedron. Releases the GIL.

    Args:
        points: [P, 3] float32 or float64, finite. Coordinates are taken exactly, down to 2^-200 of the largest one.
        threads: how many work on it, at most 255, apart from those of other kernels; the answer is the same to the bit
            for any. 0: as many as kernels use (`native.set_num_threads`), fewer for few points.
        stop: None, or a numpy uint8 array [1]. When another thread sets it to 1 the triangulation is given up.

    Returns:
        tets [T, 4] int32 on the CPU, det(p1 - p0, p2 - p0, p3 - p0) > 0 exactly (evaluated in float32, rounding may
        take it to 0 or below), neighbours in space mostly near each other in the list. T = 0 when the points lie in one
        plane or are fewer than four. No gradient.

    Raises:
        ValueError: points has another shape or dtype, or values that are not finite.
        Stopped: `stop` was set before it was done.
    """
    check_tensor("points", points, ("P", 3), (torch.float32, torch.float64))
    points = kernel_ready(points.cpu())
    bad = ~torch.isfinite(points).all(dim=1)
    if bad.any():
        rows = bad.nonzero().flatten().tolist()
        where = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
        raise ValueError(
            f"points has {len(rows)} of {len(points)} rows that are not finite (row {where}); a triangulation needs "
            "finite coordinates: look for diverged Gaussians."
        )
    stop = np.zeros(1, np.uint8) if stop is None else stop
    tets = native.delaunay(points.double().numpy(), threads, stop)
    if stop[0]:
        raise Stopped
    return torch.from_numpy(tets)
