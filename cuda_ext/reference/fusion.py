# SPDX-License-Identifier: Apache-2.0
"""Oracle of milo.cuda_ext.fusion (spec training.md, 5.6 and 5.9; extraction, 0.1)."""

from __future__ import annotations

import math

import torch


def _sight(points, viewmat, K, size, near, far):
    """Pixel positions u, v (0 at the first centre), depths z, and which points the image contains."""
    height, width = size
    camera = points @ viewmat[:3, :3].to(points).T + viewmat[:3, 3].to(points)
    x, y, z = camera.unbind(1)
    u = K[0, 0] * x / z + K[0, 2] - 0.5
    v = K[1, 1] * y / z + K[1, 2] - 0.5
    return u, v, z, (z > near) & (z < far) & (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)


def _bilinear(depth, u, v):
    grid = torch.stack([2 * u / (depth.shape[1] - 1) - 1, 2 * v / (depth.shape[0] - 1) - 1], -1)
    return torch.nn.functional.grid_sample(
        depth[None, None], grid[None, None], align_corners=True, padding_mode="border"
    )[0, 0, 0]


def _nearest(picture, u, v):
    return picture[..., (v + 0.5).floor().long(), (u + 0.5).floor().long()]


def _mean(mean, weight, new):
    return (mean * weight + new) / (weight + 1)


def fuse_depth(points, depth, viewmat, K, value, weight, truncation, near=0.01, far=math.inf, nearest=False):
    u, v, z, inside = _sight(points, viewmat, K, depth.shape, near, far)
    u, v, z, index = u[inside], v[inside], z[inside], inside.nonzero()[:, 0]
    d = _nearest(depth, u, v) if nearest else _bilinear(depth, u, v)
    f = ((d - z) / truncation).clamp(max=1)
    valid = (d > 0) & (f >= -1)
    index, f = index[valid], f[valid]
    value[index] = _mean(value[index], weight[index], f)
    weight[index] += 1


def fuse_colors(points, depth, image, viewmat, K, value, weight, colors, truncation, near=0.01, far=math.inf):
    u, v, z, inside = _sight(points, viewmat, K, depth.shape, near, far)
    u, v, z, index = u[inside], v[inside], z[inside], inside.nonzero()[:, 0]
    d = _nearest(depth, u, v)
    f = ((d - z) / truncation).clamp(max=1)
    valid = (d > 0) & (f >= -1)
    index, f = index[valid], f[valid]
    value[index] = _mean(value[index], weight[index], f)
    seen = _nearest(image, u, v).T[valid]
    colors[index] = _mean(colors[index], weight[index, None], seen).clamp(0, 1)
    weight[index] += 1


def carve_labels(points, depth, viewmat, K, labels, near=0.01, far=math.inf):
    u, v, z, inside = _sight(points, viewmat, K, depth.shape, near, far)
    d = _nearest(depth, u[inside], v[inside])
    labels[inside.nonzero()[:, 0][(d > 0) & (d - z[inside] >= 0)]] = 0
