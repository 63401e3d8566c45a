# SPDX-License-Identifier: Apache-2.0
"""Structural similarity of two images, and the photometric loss built on it (spec rasterization.md, 6.2)."""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver

_FLOATS = (torch.float32, torch.float64)


class _ImageDistance(torch.autograd.Function):
    """l1_weight * mean|image - target| + ssim_weight * ssim + offset."""

    @staticmethod
    def forward(ctx, image, target, l1_weight, ssim_weight, offset):
        image, target = kernel_ready(image), kernel_ready(target)
        derivatives = image.new_empty(3, *image.shape) if ctx.needs_input_grad[0] else None
        distance = image.new_empty(())
        driver(image).image_distance(image, target, l1_weight, ssim_weight, offset, derivatives, distance)
        ctx.save_for_backward(image, target, derivatives)
        ctx.l1_weight = l1_weight
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        image, target, derivatives = ctx.saved_tensors
        grad = torch.empty_like(image)
        driver(image).image_distance_backward(image, target, derivatives, ctx.l1_weight, kernel_ready(g), grad)
        return grad, None, None, None, None


def ssim(image, target):
    """Mean structural similarity of two images: 1 where they agree. 11-tap Gaussian window, zero padding.

    Args:
        image: [C, H, W] float32 or float64, nominally in [0, 1], not clamped.
        target: the same shape and dtype.

    Returns:
        scalar tensor. Differentiable in image alone.

    Raises:
        ValueError: shapes, dtypes or devices do not agree; the message names the argument.
    """
    _check(image, target)
    return _ImageDistance.apply(image, target, 0.0, 1.0, 0.0)


def photometric_loss(image, target, lambda_dssim=0.2):
    """(1 - lambda_dssim) mean|image - target| + lambda_dssim (1 - ssim), forward and backward in two sweeps.

    Arguments, gradient and errors as in `ssim`. The derivative of |x| at 0 is 0.
    """
    _check(image, target)
    return _ImageDistance.apply(image, target, 1.0 - lambda_dssim, -lambda_dssim, float(lambda_dssim))


def _check(image, target):
    check_tensor("image", image, ("C", "H", "W"), _FLOATS)
    if image.numel() == 0:
        raise ValueError(f"image is empty: its shape is {list(image.shape)}.")
    check_tensor("target", target, tuple(image.shape), (image.dtype,))
    check_device(image=image, target=target)
