# SPDX-License-Identifier: Apache-2.0
"""From the Gaussians' stored parameters to those that are drawn (spec rasterization.md 1.3, training.md 2.4)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver


def activate(log_scales: Tensor, opacity_logits: Tensor, filter_radii: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviations and opacities with the 3D smoothing filter applied.

    Args:
        log_scales: [N, 3] float32 or float64, logarithm of standard deviations in world units.
        opacity_logits: [N].
        filter_radii: [N] world units, 0 = no filter.

    Returns:
        scales [N, 3] world units and opacities [N] in (0, 1), dimmed as the filter widens. Differentiable in the first
        two arguments.

    Raises:
        ValueError: shapes, dtypes or devices do not agree; the message names the argument.
    """
    check_tensor("log_scales", log_scales, ("N", 3), (torch.float32, torch.float64))
    count, dtypes = (len(log_scales),), (log_scales.dtype,)
    check_tensor("opacity_logits", opacity_logits, count, dtypes)
    check_tensor("filter_radii", filter_radii, count, dtypes)
    check_device(log_scales=log_scales, opacity_logits=opacity_logits, filter_radii=filter_radii)
    return _Activation.apply(log_scales, opacity_logits, filter_radii)


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, log_scales: Tensor, logits: Tensor, radii: Tensor) -> tuple[Tensor, Tensor]:
        stored = kernel_ready(log_scales), kernel_ready(logits), kernel_ready(radii)
        scales, opacities = torch.empty_like(stored[0]), torch.empty_like(stored[1])
        driver(radii).activate(*stored, scales, opacities)
        ctx.save_for_backward(*stored)
        return scales, opacities

    @staticmethod
    @once_differentiable
    def backward(ctx, g_scales: Tensor, g_opacities: Tensor) -> tuple[Tensor, Tensor, None]:
        log_scales, logits, radii = ctx.saved_tensors
        grads = torch.empty_like(log_scales), torch.empty_like(logits)
        driver(radii).activate_backward(log_scales, logits, radii, kernel_ready(g_scales), kernel_ready(g_opacities),
                                        *grads)
        return (*grads, None)
