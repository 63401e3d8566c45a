# SPDX-License-Identifier: Apache-2.0
"""Front to back compositing of all Gaussians over all pixels at once (spec rasterization.md, 1.9 to 1.12).

Rows are pixels, row by row; columns are the Gaussians drawn, near to far. Every skip or stop test is a detached mask.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from .projection import TILE

ALPHA_MIN, ALPHA_MAX, T_MIN = 1 / 255, 0.99, 1e-4


class _CountAbsolute(torch.autograd.Function):
    """delta itself; the size of its gradient is also summed, in NDC units, into the third screen column (1.12)."""

    @staticmethod
    def forward(ctx, delta, column, size):
        ctx.size = size
        return delta.clone()

    @staticmethod
    def backward(ctx, g):
        height, width = ctx.size
        return g, (g.abs() * g.new_tensor([width / 2, height / 2])).sum((0, 2)), None


def drawing_order(depth, drawn):
    """Indices of the Gaussians drawn, by (view depth, index)."""
    index = torch.nonzero(drawn)[:, 0]
    return index[depth.detach()[index].sort(stable=True).indices]


def pixel_grid(size, like):
    """[H W, 2] integer pixel centres (column, row)."""
    rows, columns = torch.meshgrid(*(torch.arange(n, device=like.device) for n in size), indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], 1).to(like.dtype)


def in_rectangle(pixels, rectangle):
    """[P, N] whether the tile of each pixel is among the tiles [x0, x1) x [y0, y1) of each Gaussian (1.8)."""
    tile = (pixels / TILE).floor()[:, None]
    return ((tile >= rectangle[:, :2]) & (tile < rectangle[:, 2:])).all(2)


def opacity_at(delta, conic, opacities, inside, *, block_conic=False, count_absolute=None):
    """alpha [P, N] of each Gaussian at each pixel, 0 where it is skipped (1.10), with the clamp policy of 1.11.

    Args:
        delta: [P, N, 2] projected mean minus pixel.
        inside: [P, N] bool, the tile rectangles.
        block_conic: above 0.99 only the mean keeps a gradient (training rasteriser) instead of everything [Q7].
        count_absolute: (third screen column [N], size), or None.
    """
    if count_absolute is not None:
        delta = _CountAbsolute.apply(delta, *count_absolute)
    dx, dy = delta.unbind(2)

    def falloff(conic):
        A, B, C = conic.unbind(1)
        return (A * dx * dx + C * dy * dy) / 2 + B * dx * dy

    exponent = falloff(conic)
    raw = opacities * torch.exp(-exponent)
    over = raw.detach() > ALPHA_MAX
    if block_conic:
        raw = torch.where(over, opacities.detach() * torch.exp(-falloff(conic.detach())), raw)
    alpha = torch.where(over, ALPHA_MAX + (raw - raw.detach()), raw)
    kept = inside & (exponent.detach() >= 0) & (alpha.detach() >= ALPHA_MIN)
    return torch.where(kept, alpha, torch.zeros_like(alpha))


class Composite(NamedTuple):
    weight: torch.Tensor       # [P, N] alpha times the transmittance before it
    before: torch.Tensor       # [P, N] that transmittance
    composited: torch.Tensor   # [P, N] bool
    end: torch.Tensor          # [P] transmittance after the last


def composite(alpha, passes_light=None):
    """Weights of each Gaussian in each pixel.

    passes_light: [P, N] bool, Gaussians that do not dim what is behind them, though they may stop the pixel [Q12].
    """
    dims = alpha if passes_light is None else torch.where(passes_light, torch.zeros_like(alpha), alpha)
    # A pixel stops for good at the first Gaussian that would leave less than T_MIN, so the plain product is the true
    # transmittance up to there.
    would_leave = _before(dims).detach() * (1 - alpha.detach())
    stopped = ((alpha.detach() > 0) & (would_leave < T_MIN)).cumsum(1) > 0
    dims = torch.where(stopped, torch.zeros_like(dims), dims)
    before = _before(dims)
    return Composite(dims * before, before, (dims.detach() > 0), (1 - dims).prod(1))


def _before(alpha):
    """Product of (1 - alpha) over the Gaussians in front."""
    first = alpha.new_ones(alpha.shape[0], 1)
    return torch.cat([first, (1 - alpha).cumprod(1)], 1)[:, : alpha.shape[1]]


def last_true(mask):
    """[P, N] bool with the last true entry of each row alone."""
    return mask & (mask.flip(1).cumsum(1).flip(1) == 1)


def heaviest(weight):
    """[P, N] bool: the Gaussian of largest weight in each pixel, the nearest one on equality; none if all are 0."""
    weight = weight.detach()
    running = torch.cat([weight.new_zeros(len(weight), 1), weight], 1).cummax(1).values[:, :-1]
    return last_true(weight > running)
