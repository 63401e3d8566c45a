# SPDX-License-Identifier: Apache-2.0
"""The Gaussian rasterisers in plain PyTorch, every pixel against every Gaussian: the oracle of milo.cuda_ext.splats.

Any floating dtype; gradients by autograd, with the exceptions that the spec declares (rasterization.md, 8.1).
Arguments as in milo.cuda_ext.splats; `damping` is the regulariser of the conic's derivative [Q3], 0 for the true
derivative. Memory grows with pixels times Gaussians.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn.functional import normalize

from . import compositing, projection

LOW_PASS = 0.3   # added to the diagonal of the 2D covariance by the training rasteriser, pixels squared


class GeometryRender(NamedTuple):
    image: torch.Tensor
    alpha: torch.Tensor
    expected_depth: torch.Tensor
    median_depth: torch.Tensor
    normal: torch.Tensor
    radii: torch.Tensor


class TrainRender(NamedTuple):
    image: torch.Tensor
    radii: torch.Tensor
    area_max: torch.Tensor


class Statistics(NamedTuple):
    radii: torch.Tensor
    accum_weights: torch.Tensor
    area_proj: torch.Tensor
    area_max: torch.Tensor


class DepthRender(NamedTuple):
    index: torch.Tensor
    points: torch.Tensor
    depth: torch.Tensor
    transmittance: torch.Tensor


def rasterize_geometry(means, scales, quats, opacities, sh_dc, sh_rest, viewmat, K, size, *, sh_degree=0,
                       background=None, kernel_size=0.0, near=0.2, screen_grad=None, damping=1e-7):  # fmt: skip
    """Colour, alpha, expected and median depth, normal (spec, sections 1 and 2; rasteriser R)."""
    seen = projection.project(means, scales, quats, viewmat, K, size, screen_grad)
    lifted, det = projection.low_passed(seen.cov2d, kernel_size)
    radii, rectangle = projection.square_extent(seen.mean2d, lifted, size)
    drawn = _drawn(seen, det, rectangle, near)
    order = compositing.drawing_order(seen.view[:, 2], drawn)

    pixels = compositing.pixel_grid(size, means)
    delta = seen.mean2d[order] - pixels[:, None]
    dimmed = opacities * projection.compensation(seen.cov2d, kernel_size)
    alpha = compositing.opacity_at(
        delta, projection.conic(lifted[order], damping), dimmed[order],
        compositing.in_rectangle(pixels, rectangle[order]),
        count_absolute=None if screen_grad is None else (screen_grad[order, 2], size),
    )  # fmt: skip
    drawing = compositing.composite(alpha)

    plane = projection.plane(projection.Projected(*(x[order] for x in seen)), scales[order], viewmat, K)
    distance = plane.distance + (delta * plane.slope).sum(2)
    # Without the half pixel, as the reference does [Q5].
    ray_length = ((pixels - K[[0, 1], 2]) / torch.stack([K[0, 0], K[1, 1]])).square().sum(1).add(1).sqrt()
    total = drawing.weight.sum(1)
    covered = drawing.composited.any(1)
    expected = (drawing.weight * distance).sum(1) / (ray_length * torch.where(covered, total, torch.ones_like(total)))
    middle = compositing.last_true(drawing.composited & (drawing.before.detach() > 0.5))
    median = torch.where(middle, distance, torch.zeros_like(distance)).sum(1) / ray_length
    colours = projection.sh_colours(means, sh_dc, sh_rest, sh_degree, viewmat)[order]
    return GeometryRender(
        image=_image(drawing, colours, background, size),
        alpha=total.reshape(size),
        expected_depth=expected.reshape(size),
        median_depth=median.reshape(size),
        normal=normalize(drawing.weight @ plane.normal, dim=1, eps=1e-12).T.reshape(3, *size),
        radii=torch.where(drawn, radii, 0),
    )


def rasterize_train(means, scales, quats, opacities, sh_dc, sh_rest, viewmat, K, size, *, cull=None, sh_degree=0,
                    background=None, near=0.2, screen_grad=None, damping=1e-7):  # fmt: skip
    """Colour alone, with the count of pixels each Gaussian dominates (spec, 5.2; rasteriser M)."""
    radii, order, drawing = _draw_low_passed(
        means, scales, quats, opacities, viewmat, K, size, cull, near, screen_grad, damping
    )
    colours = projection.sh_colours(means, sh_dc, sh_rest, sh_degree, viewmat)[order]
    area_max = compositing.heaviest(drawing.weight).sum(0)
    return TrainRender(_image(drawing, colours, background, size), radii, _per_gaussian(area_max, order, radii))


@torch.no_grad()
def rasterize_stats(means, scales, quats, opacities, viewmat, K, size, *, cull=None, near=0.2):
    """How much each Gaussian contributes to the view (spec, 5.3; rasteriser M)."""
    radii, order, drawing = _draw_low_passed(means, scales, quats, opacities, viewmat, K, size, cull, near)
    return Statistics(
        radii,
        _per_gaussian(drawing.weight.sum(0), order, opacities),
        _per_gaussian(drawing.composited.sum(0), order, radii),
        _per_gaussian(compositing.heaviest(drawing.weight).sum(0), order, radii),
    )


@torch.no_grad()
def rasterize_depth(means, scales, quats, opacities, viewmat, K, size, *, cull=None, near=0.2):
    """Where each pixel's ray peaks in the Gaussian that dominates it (spec, 5.4; rasteriser M)."""
    R, h = viewmat[:3, :3], viewmat[:3, 3]
    centre = -R.T @ h
    pixels = compositing.pixel_grid(size, means)
    through = (pixels + 0.5 - K[[0, 1], 2]) / torch.stack([K[0, 0], K[1, 1]])
    rays = torch.cat([through, torch.ones_like(through[:, :1])], 1)            # view depth 1
    length = rays.norm(dim=1, keepdim=True)
    directions = rays / length @ R

    axes = projection.rotation_from_quaternion(quats)
    origin = ((centre - means)[:, None] @ axes)[:, 0] / (3 * scales)            # [N, 3] in units of 3 sigma
    heading = torch.einsum("pk,nkj->pnj", directions, axes) / (3 * scales)      # [P, N, 3]
    distance = -(heading * origin).sum(2) / heading.square().sum(2)
    depth = distance / length

    _, order, drawing = _draw_low_passed(
        means, scales, quats, opacities, viewmat, K, size, cull, near, behind=depth < 0
    )
    winner = compositing.heaviest(drawing.weight)
    found = winner.any(1)
    index = torch.where(found, (winner * order).sum(1), -1)
    distance, depth = ((winner * x[:, order]).sum(1) for x in (distance, depth))
    points = torch.where(found[:, None], centre + distance[:, None] * directions, torch.zeros_like(directions))
    return DepthRender(
        index.int().reshape(size), points.T.reshape(3, *size), depth.reshape(size), drawing.end.reshape(size)
    )


def _draw_low_passed(means, scales, quats, opacities, viewmat, K, size, cull, near, screen_grad=None, damping=1e-7,
                     behind=None):  # fmt: skip
    """Radii, drawing order and compositing of rasteriser M."""
    seen = projection.project(means, scales, quats, viewmat, K, size, screen_grad)
    lifted, det = projection.low_passed(seen.cov2d, LOW_PASS)
    radii, rectangle = projection.opacity_aware_extent(seen.mean2d, lifted, opacities, size)
    drawn = _drawn(seen, det, rectangle, near) & (radii > 0)
    if cull is not None:
        drawn = drawn & ~cull
    order = compositing.drawing_order(seen.view[:, 2], drawn)
    pixels = compositing.pixel_grid(size, means)
    alpha = compositing.opacity_at(
        seen.mean2d[order] - pixels[:, None], projection.conic(lifted[order], damping), opacities[order],
        compositing.in_rectangle(pixels, rectangle[order]), block_conic=True,
    )  # fmt: skip
    drawing = compositing.composite(alpha, None if behind is None else behind[:, order])
    return torch.where(drawn, radii, 0), order, drawing


def _drawn(seen, det, rectangle, near):
    """[N] bool: in front of the near plane, with an area, on some tile."""
    return (seen.view[:, 2] > near) & (det != 0) & (rectangle[:, 2:] > rectangle[:, :2]).all(1)


def _image(drawing, colours, background, size):
    image = drawing.weight @ colours
    if background is not None:
        image = image + drawing.end[:, None] * background
    return image.T.reshape(3, *size)


def _per_gaussian(values, order, like):
    """Values of the Gaussians drawn, put back in the caller's order."""
    return torch.zeros_like(like).index_copy(0, order, values.to(like.dtype))
