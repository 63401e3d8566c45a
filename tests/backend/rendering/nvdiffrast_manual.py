# SPDX-License-Identifier: Apache-2.0
"""nvdiffrast's manual in plain PyTorch: the conventions of its clip space and outputs, for tests without a GPU."""

import torch


class RasterizeCudaContext:
    def __init__(self, device=None):
        self.device = device


def rasterize(context, pos, tri, resolution, ranges=None, grad_db=True):
    """(u, v, z/w, id + 1) of the nearest triangle at each pixel; the first row lies at y = -1."""
    height, width = resolution
    x, y, z, w = pos[0][tri.long()].unbind(-1)                      # [F, 3] each
    column = (2 * torch.arange(width) + 1) / width - 1
    row = (2 * torch.arange(height) + 1) / height - 1
    a = x[:, :, None, None] - column * w[:, :, None, None]          # [F, 3, 1, W]
    b = y[:, :, None, None] - row[:, None] * w[:, :, None, None]    # [F, 3, H, 1]
    edges = torch.stack([a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1], a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
                         a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]], 1)
    weights = edges / edges.sum(1, keepdim=True)
    depth = (weights * z[:, :, None, None]).sum(1) / (weights * w[:, :, None, None]).sum(1)
    hit = (weights >= 0).all(1) & (weights * w[:, :, None, None]).sum(1).gt(0) & (depth.abs() <= 1)
    depth, nearest = torch.where(hit, depth, torch.inf).detach().min(0)
    covered = depth.isfinite()
    uv = weights[:, :2].gather(0, nearest[None, None].expand(1, 2, -1, -1))[0] * covered
    out = torch.stack([*uv, torch.where(covered, depth, 0.0), (nearest + 1.0) * covered], -1)
    return out[None], torch.zeros_like(out)[None]


def interpolate(attr, rast, tri):
    u, v, _, ids = rast[0].unbind(-1)
    corners = attr[0][tri.long()][(ids.long() - 1).clamp_min(0)]    # [H, W, 3, C]
    values = torch.stack([u, v, 1 - u - v], -1)[..., None] * corners
    return (values.sum(-2) * (ids > 0)[..., None])[None], None


def antialias(color, rast, pos, tri):
    return color
