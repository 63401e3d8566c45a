# SPDX-License-Identifier: Apache-2.0
"""What a monocular depth map says is nearer shall be nearer (spec training.md 4.3)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import torch
from torch import Tensor

from milo.backend.config import LossConfig
from milo.backend.data.depth_priors import resized

MEDIAN_SHARE = 0.6    # of the depth that is compared; the rest is the expected depth's
REACH = 0.05          # largest distance of the two pixels of a pair, per axis, of the longer side
LOG_SCALE = 20.0
MIN_ALPHA = 0.01      # emptier pixels have no depth (Q11)


def weight_at(config: LossConfig, k: int) -> float:
    """Weight of the loss in iteration k: that after the last threshold up to k."""
    return config.depth_order_weights[bisect_right(config.depth_order_at, k)] if config.depth_order else 0.0


class DepthOrder:
    """The loss, with the depth maps it compares with.

    Args:
        priors: by the views' uid: [h, w] larger = farther, NaN = unknown, at any resolution.
        extent: of the scene, world units.
        seed: of the pairs of pixels, which depend on the iteration alone.
    """

    def __init__(self, priors: Sequence[Tensor], extent: float, seed: int):
        self.priors, self.extent, self.seed = priors, extent, seed

    def __call__(self, rendered, uid: int, k: int) -> Tensor:
        """Mean over the pixels of a GeometryRender (or any with its depths and alpha), unweighted."""
        depth = torch.lerp(rendered.expected_depth, rendered.median_depth, MEDIAN_SHARE)
        prior = resized(self.priors[uid].to(depth.device), depth.shape)
        generator = torch.Generator(depth.device).manual_seed(1_000_003 * self.seed + k)
        return order_loss(depth, prior, rendered.alpha.detach() > MIN_ALPHA, partners(depth.shape, generator),
                          self.extent)


def partners(size: Sequence[int], generator: torch.Generator) -> Tensor:
    """For each pixel of an image (height, width) the flat index [H, W] of one nearby, drawn anew."""
    height, width = size
    reach = max(round(REACH * max(height, width)), 1)
    device = generator.device
    shift = torch.randint(-reach, reach + 1, (2, height, width), generator=generator, device=device)
    rows = (torch.arange(height, device=device)[:, None] + shift[0]).clamp_(0, height - 1)
    columns = (torch.arange(width, device=device) + shift[1]).clamp_(0, width - 1)
    return rows * width + columns


def order_loss(depth: Tensor, prior: Tensor, known: Tensor, partner: Tensor, extent: float) -> Tensor:
    """mean ln(1 + 20 max(0, -difference of depths x sign of the prior's difference)) over pairs of pixels.

    Args:
        depth: [H, W] world units, differentiable; prior: [H, W], NaN = unknown.
        known: [H, W] bool: pixels that have a depth; pairs with another one count as being in order.
        partner: [H, W] flat index of each pixel's partner.
        extent: of the scene, world units.
    """
    apart = (depth - depth.flatten()[partner]) / extent
    order = torch.nan_to_num(torch.sign(prior - prior.flatten()[partner]), nan=0.0)
    wrong = torch.relu(-apart * order) * (known & known.flatten()[partner])
    return torch.log1p(LOG_SCALE * wrong).mean()
