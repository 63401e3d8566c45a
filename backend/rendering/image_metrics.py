# SPDX-License-Identifier: Apache-2.0
"""How close a rendered picture is to a photo (spec extraction_evaluation_editing.md, 4.3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from milo.cuda_ext.ssim import ssim as fused_ssim


def quantised(image: Tensor) -> Tensor:
    """The image as an 8-bit file would hold it: clamped to [0, 1] and rounded to 255 steps."""
    return (image.clamp(0, 1) * 255).round() / 255


def compared(image: Tensor, view, background: Tensor, masked: str) -> tuple[Tensor, Tensor]:
    """A render [3, H, W] over `background` [3], and what it is compared with.

    Args:
        view: with its photo.
        masked: "ignore": both are black where the photo's mask, if it has one, excludes the pixels; "background": the
            photo shows the background there (`loss.masked` of the configuration).
    """
    if masked == "background" or view.mask is None:
        return image, view.target(background)
    return image * (view.mask.to(image.device).float() / 255), view.target(torch.zeros_like(background))


def psnr(image: Tensor, target: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels; infinite where the images are equal.

    Args:
        image, target: the same shape, float in [0, 1].

    Raises:
        ValueError: the shapes differ.
    """
    if image.shape != target.shape:
        raise ValueError(f"image is {list(image.shape)} but target {list(target.shape)}.")
    error = float((image.double() - target.double()).square().mean())
    return -10 * math.log10(error) if error > 0 else math.inf


def ssim(image: Tensor, target: Tensor) -> float:
    """Structural similarity: 11 x 11 Gaussian window of sigma 1.5, zero padding, mean over channels and pixels.

    Args:
        image, target: [C, H, W] float32 in [0, 1].
    """
    with torch.no_grad():
        return float(fused_ssim(image.contiguous(), target.contiguous()))
