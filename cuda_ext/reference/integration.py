# SPDX-License-Identifier: Apache-2.0
"""Opacity of points in plain PyTorch, every point against every Gaussian: the oracle of milo.cuda_ext.integration."""

from __future__ import annotations

import torch

from . import compositing, gof, projection

# A Gaussian counts in a pixel if its centre or a corner sees it (spec rasterization.md, 4.1).
_SAMPLES = ((0.0, 0.0), (-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5))


@torch.no_grad()
def integrate_points(points, means, scales, quats, opacities, viewmat, K, size, *, rasterizer="radegs", near=0.2):
    """[P] opacity accumulated along the camera's ray up to each point, 1 where the view does not see it (spec, 4)."""
    height, width = size
    seen = projection.project(means, scales, quats, viewmat, K, size)
    lifted, det = projection.low_passed(seen.cov2d, 0.0)
    _, rectangle = projection.square_extent(seen.mean2d, lifted, size)
    drawn = (seen.view[:, 2] > near) & (det != 0) & (rectangle[:, 2:] > rectangle[:, :2]).all(1)
    order = compositing.drawing_order(seen.view[:, 2], drawn)
    dimmed = (opacities * projection.compensation(seen.cov2d, 0.0))[order]
    seen = projection.Projected(*(x[order] for x in seen))
    kind = {"radegs": _RadeGs, "gof": _Gof}[rasterizer]
    gaussians = kind(seen, scales[order], viewmat, K, near)

    view = points @ viewmat[:3, :3].T + viewmat[:3, 3]
    at = view[:, :2] / (view[:, 2:] + 1e-7) * K[[0, 1], [0, 1]] + K[:2, 2] - 0.5     # integer-centred
    pixel = (at + 0.5).floor()
    inside = (view[:, 2] > near) & (pixel >= 0).all(1) & (pixel < pixel.new_tensor([width, height])).all(1)
    result = torch.ones_like(points[:, 0])
    pixels, owner = pixel[inside].unique(dim=0, return_inverse=True)
    in_tiles = compositing.in_rectangle(pixels, rectangle[order])
    samples = pixels[:, None] + pixels.new_tensor(_SAMPLES)
    candidate = _candidates(gaussians.opacity_of_samples(samples, dimmed), in_tiles)
    alpha = gaussians.opacity_of_points(at[inside], view[inside], dimmed).clamp(max=compositing.ALPHA_MAX)
    alpha = torch.where(candidate[owner] & (alpha >= compositing.ALPHA_MIN), alpha, torch.zeros_like(alpha))
    result[inside] = 1 - (1 - alpha).prod(1)
    return result


def _candidates(alpha, in_tiles):
    """[M, N] which Gaussians count in each pixel, from their opacity [M, 5, N] at its samples."""
    alpha = torch.where(in_tiles[:, None], alpha.clamp(max=compositing.ALPHA_MAX), torch.zeros_like(alpha))
    light = alpha.new_ones(alpha.shape[:2])
    found = []
    for layer in alpha.unbind(2):   # a sample that has too little light for one may have enough for a fainter one
        left = light * (1 - layer)
        passes = (layer >= compositing.ALPHA_MIN) & (left >= compositing.T_MIN)
        light = torch.where(passes, left, light)
        found.append(passes.any(1))
    return torch.stack(found, 1) if found else in_tiles


class _Gof:
    """Section 4.2, G."""

    def __init__(self, seen, scales, viewmat, K, near):
        self.whitened, self.K, self.near = gof.whitened(seen, scales, viewmat), K, near

    def opacity_of_samples(self, samples, opacities):
        top = gof.peak(self.whitened, gof.rays_through(samples, self.K))
        return torch.where(top.depth > self.near, opacities * torch.exp(-top.squared / 2), torch.zeros_like(top.depth))

    def opacity_of_points(self, at, view, opacities):
        rays = gof.rays_through(at, self.K)
        depth = torch.minimum(gof.peak(self.whitened, rays).depth, view[:, 2:])
        return opacities * torch.exp(-gof.squared_distance(self.whitened, rays, depth) / 2)


class _RadeGs:
    """Section 4.2, R: the inverse covariance in (pixel, pixel, distance) coordinates."""

    def __init__(self, seen, scales, viewmat, K, near):
        self.seen, self.plane = seen, projection.plane(seen, scales, viewmat, K)
        self.conic = projection.conic(seen.cov2d)
        t = seen.clamped
        u, v = t[:, 0] / t[:, 2], t[:, 1] / t[:, 2]
        square, length = 1 + u * u + v * v, t.norm(dim=1)
        along = torch.stack([
            v * v + 1, -u * v, -u,
            -u * v, u * u + 1, -v,
            u * square / length, v * square / length, square / length,
        ], 1).reshape(-1, 3, 3) * (t[:, 2] / square)[:, None, None]  # fmt: skip
        focal = torch.diag(torch.stack([1 / K[0, 0], 1 / K[1, 1], K.new_ones(())]))
        axes = viewmat[:3, :3] @ seen.axes
        factor = focal @ along @ (axes / scales[:, None])
        self.precision = factor @ factor.transpose(1, 2)
        self.flat = scales.amin(1) ** 2 <= 1e-8

    def opacity_of_samples(self, samples, opacities):
        return opacities * torch.exp(-self._falloff(self.seen.mean2d - samples[:, :, None]))

    def opacity_of_points(self, at, view, opacities):
        delta = self.seen.mean2d - at[:, None]
        peak = self.plane.distance + (delta * self.plane.slope).sum(2)
        distance = view.norm(dim=1)[:, None]
        offset = torch.cat([delta, (self.plane.distance - torch.minimum(distance, peak))[:, :, None]], 2)
        exponent = torch.einsum("pni,nij,pnj->pn", offset, self.precision, offset) / 2
        flat = torch.where(distance < peak, torch.inf, self._falloff(delta))
        return opacities * torch.exp(-torch.where(self.flat, flat, exponent))

    def _falloff(self, delta):
        A, B, C = self.conic.unbind(1)
        dx, dy = delta.unbind(-1)
        return (A * dx * dx + C * dy * dy) / 2 + B * dx * dy
