# SPDX-License-Identifier: Apache-2.0
"""What makes one photo brighter than the next, learned beside the Gaussians and left out of every other render."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 32   # pixels of the image per pixel of the network's input


class Exposure(nn.Module):
    """A gain and an offset per photo and channel, relative to the mean of all photos: the scene keeps that brightness.

    Args:
        photos: how many there are.
    """

    def __init__(self, photos: int):
        super().__init__()
        self.log_gain = nn.Parameter(torch.zeros(photos, 3))
        self.offset = nn.Parameter(torch.zeros(photos, 3))

    def forward(self, image: Tensor, photo: int) -> Tensor:
        """A render [3, H, W] as this photo would have been exposed."""
        gain = (self.log_gain[photo] - self.log_gain.mean(0)).exp()
        offset = self.offset[photo] - self.offset.mean(0)
        return image * gain[:, None, None] + offset[:, None, None]


class AppearanceNetwork(nn.Module):
    """Decoupled appearance (spec training.md 2.8): a network darkens the render pixel by pixel, by the photo's code.

    Args:
        photos: how many there are.
    """

    def __init__(self, photos: int):
        super().__init__()
        self.embedding = nn.Parameter(1e-4 * torch.randn(photos, 64))
        blocks = [nn.Conv2d(67, 256, 3, padding=1), nn.ReLU()]
        for channels in (256, 128, 64, 32):
            blocks += [nn.PixelShuffle(2), nn.Conv2d(channels // 4, channels // 2, 3, padding=1), nn.ReLU()]
        self.network = nn.Sequential(
            *blocks, nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 3, 3, padding=1), nn.Sigmoid())

    def forward(self, image: Tensor, photo: int) -> Tensor:
        """Factors in (0, 1) for a render [3, H, W], H and W multiples of 32."""
        size = [side // BLOCK for side in image.shape[1:]]
        small = F.interpolate(image[None], size, mode="bilinear", align_corners=True)
        code = self.embedding[photo][None, :, None, None].expand(-1, -1, *small.shape[2:])
        return self.network(torch.cat([small, code], 1))[0]

    def distance(self, image: Tensor, target: Tensor, photo: int) -> Tensor:
        """Mean absolute difference of the darkened render and the photo [3, H, W], cropped to whole blocks."""
        image, target = cropped(image), cropped(target)
        return (self(image, photo) * image - target).abs().mean()


def cropped(image: Tensor) -> Tensor:
    """The middle of an image [C, H, W], with sides that are multiples of 32."""
    rows, columns = ((size // BLOCK) * BLOCK for size in image.shape[1:])
    top, left = image.shape[1] // 2 - rows // 2, image.shape[2] // 2 - columns // 2
    return image[:, top:top + rows, left:left + columns]
