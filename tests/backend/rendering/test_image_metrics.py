# SPDX-License-Identifier: Apache-2.0
"""PSNR and SSIM against scipy and arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from milo.backend.rendering.image_metrics import psnr, quantised, ssim


def pictures(seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(3, 30, 41, generator=generator)
    return image, (image + 0.1 * torch.randn(3, 30, 41, generator=generator)).clamp(0, 1)


def test_psnr():
    zero = torch.zeros(3, 8, 8)
    assert psnr(zero, zero) == math.inf
    assert psnr(zero + 0.1, zero) == pytest.approx(20, abs=1e-5)
    one_pixel = zero.clone()
    one_pixel[1, 2, 3] = 1
    assert psnr(one_pixel, zero) == pytest.approx(10 * math.log10(192))
    with pytest.raises(ValueError, match="target"):
        psnr(zero, zero[:, 1:])


def test_ssim_against_scipy():
    image, target = pictures()
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()

    def blur(x):
        return correlate1d(correlate1d(x, taps, 1, mode="constant"), taps, 2, mode="constant")

    x, y = image.double().numpy(), target.double().numpy()
    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    expected = ((2 * mx * my + 1e-4) * (2 * vxy + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))).mean()
    assert ssim(image, target) == pytest.approx(expected, abs=1e-5)
    assert ssim(image, image) == pytest.approx(1, abs=1e-6)


def test_quantised_is_what_a_png_holds():
    image, _ = pictures()
    eight_bit = np.round(image.numpy() * 255).astype(np.uint8)
    assert np.array_equal((quantised(image) * 255).round().byte().numpy(), eight_bit)
    assert quantised(torch.tensor([-1.0, 2.0])).tolist() == [0, 1]
