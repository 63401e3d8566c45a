# SPDX-License-Identifier: Apache-2.0
"""What a training render tells about each Gaussian, for densification (spec training.md 3.3, 3.5)."""

from __future__ import annotations

import torch
from torch import Tensor

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver


@torch.no_grad()
def add_render_statistics(screen_grad: Tensor, radii: Tensor, area_max: Tensor | None, factor: Tensor | None,
                          blur_area: float, gradient: Tensor, drawn: Tensor, absolute: Tensor, blurred: Tensor) -> None:
    """Add one render, in place, to the sums of the Gaussians that it drew.

    Args:
        screen_grad: [N, 3] float32, gradient of the screen position: x, y and the sum of absolute values, NDC.
        radii: [N] int32, pixels, 0 = not drawn.
        area_max: [N] int32, pixels that each Gaussian dominates, or None: the render was one of geometry.
        factor: [N] float32, weight of the gradient's norm, or None: 1.
        blur_area: pixels; a Gaussian that dominates more is marked as blurred.
        gradient: [N] float32, sum of the norms of (x, y).
        drawn: [N] float32, number of renders.
        absolute: [N] float32, sum of the third components over renders of geometry.
        blurred: [N] bool.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or a tensor to change is not contiguous.
    """
    check_tensor("radii", radii, ("N",), (torch.int32,))
    shape = radii.shape
    check_tensor("screen_grad", screen_grad, (*shape, 3))
    changed = {"gradient": gradient, "drawn": drawn, "absolute": absolute, "blurred": blurred}
    for name, value in changed.items():
        check_tensor(name, value, shape, (torch.bool,) if name == "blurred" else (torch.float32,))
        if not value.is_contiguous():
            raise ValueError(f"{name} is changed in place and must be contiguous.")
    check_device(radii=radii, screen_grad=screen_grad, **changed)
    for name, value, dtype in (("area_max", area_max, torch.int32), ("factor", factor, torch.float32)):
        if value is not None:
            check_tensor(name, value, shape, (dtype,))
            check_device(radii=radii, **{name: value})
    driver(radii).add_render_statistics(
        kernel_ready(screen_grad), kernel_ready(radii), None if area_max is None else kernel_ready(area_max),
        None if factor is None else kernel_ready(factor), float(blur_area), gradient, drawn, absolute,
        blurred.view(torch.uint8),
    )  # fmt: skip
