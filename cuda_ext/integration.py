# SPDX-License-Identifier: Apache-2.0
"""How opaque Gaussians are up to a point, seen from a camera (spec rasterization.md, 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from .arguments import check_device, check_tensor
from .drivers import driver
from .splat_arguments import check_camera, check_gaussians, ready

RASTERIZERS = ("radegs", "gof")


@torch.no_grad()
def integrate_points(
    points: Tensor,
    means: Tensor,
    scales: Tensor,
    quats: Tensor,
    opacities: Tensor,
    viewmat: Tensor,
    K: Tensor,
    size: tuple[int, int],
    *,
    rasterizer: str = "radegs",
    near: float = 0.2,
) -> Tensor:
    """Opacity that a camera's rays gather up to each point.

    A Gaussian that is densest beyond the point counts as it is at the point. Only Gaussians that a ray through the
    centre or a corner of the point's pixel sees count, as when the picture is drawn.

    Args:
        points: [P, 3] float, world units.
        means, scales, quats, opacities: [N, 3], [N, 3], [N, 4], [N] as in `rasterize_geometry`.
        viewmat: [4, 4] float, world to camera; K: [3, 3] float, pixels; size: (height, width).
        rasterizer: "radegs" or "gof": whose Gaussians these are.
        near: points and Gaussians not beyond this z depth are ignored, world units.

    Returns:
        [P] in [0, 1]; 1 for points that project outside the image or lie before the near plane: such a view knows
        nothing, and the minimum over views is not changed by it.

    No gradients. float32, or float64 for tests; on one CPU or CUDA device.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or an unknown rasterizer; the message names the argument.
    """
    check_gaussians(means, scales, quats, opacities)
    check_tensor("points", points, ("P", 3), (means.dtype,))
    check_device(means=means, points=points)
    height, width = check_camera(means, viewmat, K, size)
    if rasterizer not in RASTERIZERS:
        raise ValueError(f"rasterizer must be one of {', '.join(RASTERIZERS)}, not {rasterizer!r}.")
    opacity = points.new_empty(len(points))
    driver(points).integrate_points(
        *ready(points, means, scales, quats, opacities, viewmat, K), height, width, rasterizer == "gof", float(near),
        opacity,
    )  # fmt: skip
    return opacity
