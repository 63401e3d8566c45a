# SPDX-License-Identifier: Apache-2.0
"""The geometry rasteriser as one would write it in PyTorch alone: one batch of tensor operations per 16x16 tile.

The same outputs as milo.cuda_ext.splats.rasterize_geometry, gradients by autograd: what the kernels are measured
against.
"""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from milo.cuda_ext.reference import projection

TILE = projection.TILE


def rasterize_geometry(means, scales, quats, opacities, sh_dc, sh_rest, viewmat, K, size, *, sh_degree=0, near=0.2):
    """image [3, H, W], alpha, expected depth, median depth [H, W] and normal [3, H, W], over black."""
    seen = projection.project(means, scales, quats, viewmat, K, size)
    lifted, _ = projection.low_passed(seen.cov2d, 0.0)
    _, rectangle = projection.square_extent(seen.mean2d, lifted, size)
    plane = projection.plane(seen, scales, viewmat, K)
    # One row per Gaussian with all that a pixel needs, so that a tile gathers once.
    rows = torch.cat([
        seen.mean2d, projection.conic(lifted), (opacities * projection.compensation(seen.cov2d, 0.0))[:, None],
        plane.distance[:, None], plane.slope, plane.normal,
        projection.sh_colours(means, sh_dc, sh_rest, sh_degree, viewmat),
    ], 1)  # fmt: skip
    lists = _tile_lists(seen.view[:, 2].detach(), rectangle, near, size)
    down, across = -(-size[0] // TILE), -(-size[1] // TILE)
    tiles = [_tile(rows[members], tile // across, tile % across, K) for tile, members in enumerate(lists)]
    maps = torch.stack(tiles).reshape(down, across, TILE, TILE, 9).permute(4, 0, 2, 1, 3)
    maps = maps.reshape(9, down * TILE, across * TILE)[:, : size[0], : size[1]]
    return maps[:3], maps[3], maps[4], maps[5], maps[6:]


def _tile_lists(depth, rectangle, near, size):
    """For each tile the indices of its Gaussians, near to far."""
    across = -(-size[1] // TILE)
    corner, extent = rectangle[:, :2].long(), (rectangle[:, 2:] - rectangle[:, :2]).long()
    counts = torch.where(depth > near, extent.prod(1), 0)
    order = depth.argsort(stable=True)
    member = order.repeat_interleave(counts[order])
    position = torch.arange(len(member)) - (counts[order].cumsum(0) - counts[order]).repeat_interleave(counts[order])
    width = extent[member, 0]
    tile = (corner[member, 1] + position // width) * across + corner[member, 0] + position % width
    by_tile = tile.argsort(stable=True)
    return member[by_tile].split(tile.bincount(minlength=across * -(-size[0] // TILE)).tolist())


def _tile(rows, row, column, K):
    """[256, 9] outputs of one tile's pixels."""
    steps = torch.arange(TILE, dtype=rows.dtype)
    pixels = torch.stack([(column * TILE + steps).repeat(TILE), (row * TILE + steps).repeat_interleave(TILE)], 1)
    mean2d, conic, opacity, distance, slope, normal, colour = rows.split([2, 3, 1, 1, 2, 3, 3], 1)
    dx, dy = (mean2d[:, axis] - pixels[:, axis, None] for axis in (0, 1))
    A, B, C = conic.unbind(1)
    alpha = (opacity[:, 0] * torch.exp(-(A * dx * dx + C * dy * dy) / 2 - B * dx * dy)).clamp(max=0.99)
    alpha = torch.where(alpha < 1 / 255, 0.0, alpha)
    left = (1 - alpha).cumprod(1)
    alpha = torch.where(left < 1e-4, 0.0, alpha)
    before = torch.cat([torch.ones_like(left[:, :1]), left[:, :-1]], 1)[:, : len(rows)]
    weight = alpha * before
    depth = distance[:, 0] + slope[:, 0] * dx + slope[:, 1] * dy
    ray = ((pixels - K[[0, 1], 2]) / torch.stack([K[0, 0], K[1, 1]])).square().sum(1).add(1).sqrt()
    total = weight.sum(1)
    expected = (weight * depth).sum(1) / (ray * total.clamp(min=1e-9))
    middle = (alpha > 0) & (before > 0.5)
    last = middle & (middle.flip(1).cumsum(1).flip(1) == 1)
    median = (last * depth).sum(1) / ray
    normal = normalize(weight @ normal, dim=1, eps=1e-12)
    return torch.cat([weight @ colour, torch.stack([total, expected, median], 1), normal], 1)
