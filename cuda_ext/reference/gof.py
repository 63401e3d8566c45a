# SPDX-License-Identifier: Apache-2.0
"""The GOF rasteriser in plain PyTorch, every pixel against every Gaussian: the oracle of milo.cuda_ext.gof.

A Gaussian is as opaque as it is at its densest point along the ray (spec rasterization.md, 3); tiles, order and
compositing are those of the other rasterisers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn.functional import normalize

from . import compositing, projection
from .splats import GeometryRender


class Whitened(NamedTuple):
    """Gaussians in view space: |to_unit (x - mean)| is the distance of x from the mean in standard deviations (3.1)."""

    to_unit: torch.Tensor   # [N, 3, 3]; its square is the quadric
    mean: torch.Tensor      # [N, 3]


class Peak(NamedTuple):
    """Where a ray (X, Y, 1) is deepest inside a Gaussian (3.2)."""

    depth: torch.Tensor     # [..., N] view z
    squared: torch.Tensor   # [..., N] squared distance from the mean there, in standard deviations
    normal: torch.Tensor    # [..., N, 3] quadric times ray: away from the camera, across the Gaussian


def whitened(seen, scales, viewmat):
    """Of Gaussians projected by `projection.project`."""
    axes = viewmat[:3, :3] @ seen.axes
    return Whitened((axes / (scales**2 + 1e-7).sqrt()[:, None]).transpose(1, 2), seen.view)


def peak(gaussians, rays):
    """Of rays [..., 3] in all Gaussians."""
    unit_rays = torch.einsum("nij,...j->...ni", gaussians.to_unit, rays)
    depth = (unit_rays * unit_mean(gaussians)).sum(-1) / unit_rays.square().sum(-1)
    normal = torch.einsum("nij,...ni->...nj", gaussians.to_unit, unit_rays)
    return Peak(depth, squared_distance(gaussians, rays, depth), normal)


def squared_distance(gaussians, rays, depth):
    """[..., N] at a depth [..., N] along rays [..., 3]."""
    unit_rays = torch.einsum("nij,...j->...ni", gaussians.to_unit, rays)
    return (unit_rays * depth[..., None] - unit_mean(gaussians)).square().sum(-1)


def unit_mean(gaussians):
    return torch.einsum("nij,nj->ni", gaussians.to_unit, gaussians.mean)


def rays_through(pixels, K):
    """[..., 3] rays with z = 1 through integer-centred pixel positions [..., 2]."""
    slopes = (pixels + 0.5 - K[[0, 1], 2]) / torch.stack([K[0, 0], K[1, 1]])
    return torch.cat([slopes, torch.ones_like(slopes[..., :1])], -1)


class _ScreenStatistic(torch.autograd.Function):
    """alpha itself; its gradient is also carried, in NDC units, to the projected means that have no part in it.

    pull: [P, N, 2] derivative of the exponent of the approximate 2D falloff with respect to the projected mean (3.3).
    """

    @staticmethod
    def forward(ctx, alpha, screen, pull, size):
        ctx.save_for_backward(alpha, pull)
        ctx.size = size
        return alpha.clone()

    @staticmethod
    def backward(ctx, g):
        alpha, pull = ctx.saved_tensors
        g_mean = -pull * (alpha * g)[:, :, None] * pull.new_tensor([ctx.size[1] / 2, ctx.size[0] / 2])
        return g, torch.cat([g_mean.sum(0), g_mean.abs().sum((0, 2))[:, None]], 1), None, None


def rasterize_gof(means, scales, quats, opacities, sh_dc, sh_rest, viewmat, K, size, *, sh_degree=0, background=None,
                  kernel_size=0.0, near=0.2, screen_grad=None):  # fmt: skip
    """Colour, alpha, median depth (twice) and normal (spec, section 3; rasteriser G)."""
    seen = projection.project(means, scales, quats, viewmat, K, size)
    lifted, det = projection.low_passed(seen.cov2d, kernel_size)
    radii, rectangle = projection.square_extent(seen.mean2d, lifted, size)
    drawn = (seen.view[:, 2] > near) & (det != 0) & (rectangle[:, 2:] > rectangle[:, :2]).all(1)
    order = compositing.drawing_order(seen.view[:, 2], drawn)
    seen = projection.Projected(*(x[order] for x in seen))

    pixels = compositing.pixel_grid(size, means)
    top = peak(whitened(seen, scales[order], viewmat), rays_through(pixels, K))
    # The gradient of the opacity leaves the compensation out [Q6].
    compensation = projection.compensation(seen.cov2d, kernel_size).detach()
    dimmed = opacities[order] + (opacities[order] * (compensation - 1)).detach()
    raw = dimmed * torch.exp(-top.squared / 2)
    if screen_grad is not None:
        raw = _ScreenStatistic.apply(raw, screen_grad[order], _pull(seen, lifted[order], pixels, K), size)
    alpha = torch.where(raw.detach() > compositing.ALPHA_MAX, compositing.ALPHA_MAX + (raw - raw.detach()), raw)
    kept = compositing.in_rectangle(pixels, rectangle[order]) & (top.depth.detach() > near)
    kept = kept & (alpha.detach() >= compositing.ALPHA_MIN)
    drawing = compositing.composite(torch.where(kept, alpha, torch.zeros_like(alpha)))

    middle = compositing.last_true(drawing.composited & (drawing.before.detach() > 0.5))
    depth = torch.where(middle, top.depth, torch.zeros_like(top.depth)).sum(1).reshape(size)
    facing = -top.normal / (top.normal.square().sum(2, keepdim=True) + 1e-7).sqrt()
    normal = (drawing.weight[:, :, None] * facing).sum(1)
    colours = projection.sh_colours(means, sh_dc, sh_rest, sh_degree, viewmat)[order]
    image = drawing.weight @ colours
    if background is not None:
        image = image + drawing.end[:, None] * background
    return GeometryRender(
        image=image.T.reshape(3, *size),
        alpha=drawing.weight.sum(1).reshape(size),
        expected_depth=depth,
        median_depth=depth,
        normal=normalize(normal, dim=1, eps=1e-12).T.reshape(3, *size),
        radii=torch.where(drawn, radii, 0),
    )


@torch.no_grad()
def _pull(seen, lifted, pixels, K):
    """Derivative of the exponent of the EWA falloff with respect to the projected mean: [P, N, 2]."""
    mean2d = seen.view[:, :2] / seen.view[:, 2:] * K[[0, 1], [0, 1]] + K[:2, 2] - 0.5
    dx, dy = (mean2d - pixels[:, None]).unbind(2)
    A, B, C = projection.conic(lifted).unbind(1)
    return torch.stack([A * dx + B * dy, B * dx + C * dy], 2)
