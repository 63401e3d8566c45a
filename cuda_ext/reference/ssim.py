# SPDX-License-Identifier: Apache-2.0
"""SSIM and the photometric loss in plain PyTorch: the oracle of milo.cuda_ext.ssim (spec rasterization.md, 6.2)."""

from __future__ import annotations

import torch
from torch.nn.functional import conv2d

_HALF_WINDOW = (0.001028380123898387, 0.0075987582094967365, 0.036000773310661316, 0.10936068743467331,
                0.21300552785396576, 0.26601171493530273)


def ssim(image, target):
    """Mean structural similarity of two [C, H, W] images, any float dtype, by autograd differentiable in both."""
    taps = torch.tensor(_HALF_WINDOW + _HALF_WINDOW[-2::-1], dtype=image.dtype)
    window = torch.outer(taps, taps)[None, None]

    def conv(x):
        return conv2d(x[:, None], window, padding=5)[:, 0]

    m1, m2 = conv(image), conv(target)
    s1, s2 = conv(image**2) - m1**2, conv(target**2) - m2**2
    s12 = conv(image * target) - m1 * m2
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * m1 * m2 + c1) * (2 * s12 + c2) / ((m1**2 + m2**2 + c1) * (s1 + s2 + c2))).mean()


def photometric_loss(image, target, lambda_dssim=0.2):
    """(1 - lambda_dssim) mean|image - target| + lambda_dssim (1 - ssim)."""
    return (1 - lambda_dssim) * (image - target).abs().mean() + lambda_dssim * (1 - ssim(image, target))
