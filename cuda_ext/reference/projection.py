# SPDX-License-Identifier: Apache-2.0
"""What one camera makes of each Gaussian, in plain PyTorch (spec rasterization.md, 1.4 to 1.8, 1.13 and 2.1).

[Qn] are the quirks of the spec's section 10. Pixel (column i, row j) has its centre at the integer point (i, j).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn.functional import normalize

TILE = 16


class Projected(NamedTuple):
    """Gaussians before a camera; every row is one Gaussian, in the caller's order."""

    axes: torch.Tensor      # [N, 3, 3] rotation, columns are the axes in world space
    view: torch.Tensor      # [N, 3] mean in view space
    clamped: torch.Tensor   # [N, 3] the same, its direction held inside 1.3 times the field of view [Q2]
    mean2d: torch.Tensor    # [N, 2] pixels
    cov2d: torch.Tensor     # [N, 3] (xx, xy, yy) of the 2D covariance, without low-pass


def rotation_from_quaternion(quats):
    """[N, 3, 3] of unnormalised (w, x, y, z); the columns are the rotated axes."""
    w, x, y, z = normalize(quats, dim=1, eps=1e-12).unbind(1)
    return torch.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ], 1).reshape(-1, 3, 3)  # fmt: skip


def project(means, scales, quats, viewmat, K, size, screen_grad=None):
    """Project with the local affine (EWA) approximation, 1.4 to 1.6.

    screen_grad is a zero [N, 3]: its first two columns move the projected mean in normalised device units (1.12).
    """
    height, width = size
    R, h = viewmat[:3, :3], viewmat[:3, 3]
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    view = means @ R.T + h
    x, y, z = view.unbind(1)
    mean2d = torch.stack([fx * x / (z + 1e-7) + cx - 0.5, fy * y / (z + 1e-7) + cy - 0.5], 1)
    if screen_grad is not None:
        mean2d = mean2d + screen_grad[:, :2] * mean2d.new_tensor([width / 2, height / 2])

    # The clamped coordinate is a variable of its own: where it is held, nothing flows, not even through z [Q2].
    def hold(coordinate, low, high):
        slope = coordinate / z
        held = (slope.clamp(low, high) * z).detach()
        return torch.where((slope < low) | (slope > high), held, coordinate)

    tx = hold(x, (-0.15 * width - cx) / fx, (1.15 * width - cx) / fx)
    ty = hold(y, (-0.15 * height - cy) / fy, (1.15 * height - cy) / fy)
    zero = torch.zeros_like(z)
    J = torch.stack([fx / z, zero, -fx * tx / z**2, zero, fy / z, -fy * ty / z**2], 1).reshape(-1, 2, 3)
    axes = rotation_from_quaternion(quats)
    half = J @ R @ axes * scales[:, None, :]
    cov = half @ half.transpose(1, 2)
    cov2d = torch.stack([cov[:, 0, 0], cov[:, 0, 1], cov[:, 1, 1]], 1)
    return Projected(axes, view, torch.stack([tx, ty, z], 1), mean2d, cov2d)


class _Conic(torch.autograd.Function):
    """Inverse of a 2D covariance (a, b, c); its derivative is damped for tiny determinants, as trained with [Q3]."""

    @staticmethod
    def forward(ctx, cov2d, damping):
        ctx.save_for_backward(cov2d)
        ctx.damping = damping
        a, b, c = cov2d.unbind(1)
        det = a * c - b * b
        return torch.stack([c / det, -b / det, a / det], 1)

    @staticmethod
    def backward(ctx, g):
        (cov2d,) = ctx.saved_tensors
        a, b, c = cov2d.unbind(1)
        gA, gB, gC = g.unbind(1)
        det = a * c - b * b
        K = 1 / (det**2 + ctx.damping)
        ga = K * (-c * c * gA + b * c * gB - b * b * gC)
        gc = K * (-a * a * gC + a * b * gB - b * b * gA)
        gb = K * (2 * b * c * gA - (det + 2 * b * b) * gB + 2 * a * b * gC)
        return torch.stack([ga, gb, gc], 1), None


def low_passed(cov2d, kappa):
    """The covariance with kappa added to its diagonal, and its determinant."""
    lifted = cov2d + cov2d.new_tensor([kappa, 0.0, kappa])
    return lifted, lifted[:, 0] * lifted[:, 2] - lifted[:, 1] ** 2


def conic(lifted, damping=1e-7):
    """(A, B, C) of the exponent (A dx^2 + C dy^2)/2 + B dx dy. damping = 0 gives the true derivative."""
    return _Conic.apply(lifted, damping)


def compensation(cov2d, kappa):
    """[N] factor on the opacity for what the low-pass adds to the area (1.6); 0 for splats without area."""
    det0 = cov2d[:, 0] * cov2d[:, 2] - cov2d[:, 1] ** 2
    _, det1 = low_passed(cov2d, kappa)
    vanishes = (det0 <= 1e-6) | (det1 <= 1e-6)
    det0, det1 = (torch.where(vanishes, torch.ones_like(det), det) for det in (det0, det1))
    return torch.where(vanishes, torch.zeros_like(det0), (det0 / (det1 + 1e-6) + 1e-6).sqrt())


@torch.no_grad()
def square_extent(mean2d, lifted, size):
    """Radii [N] and tile rectangles [N, 4] (x0, y0, x1, y1; half open) of the geometry rasteriser (1.8, R)."""
    a, b, c = lifted.unbind(1)
    middle = (a + c) / 2
    largest = middle + (middle**2 - (a * c - b * b)).clamp(min=0.1).sqrt()
    radius = (3 * largest.sqrt()).ceil()[:, None]
    low, high = ((mean2d - radius) / TILE).trunc(), ((mean2d + radius + TILE - 1) / TILE).trunc()
    return radius[:, 0].int(), _clamp_to_grid(low, high, size)


@torch.no_grad()
def opacity_aware_extent(mean2d, lifted, opacities, size):
    """The same for the training rasteriser (1.8, M), where faint Gaussians reach less far.

    Its exact tile test is left out: it drops only tiles in which every alpha is below 1/255.
    """
    a, b, c = lifted.unbind(1)
    reach = (2 * torch.log(255 * opacities)).sqrt().nan_to_num(nan=3.33).clamp(max=3.33)       # NaN below 1/255 [Q10]
    middle = (a + c) / 2
    largest = middle + (middle**2 - (a * c - b * b)).clamp(min=0.01).sqrt()
    rho = reach * largest.sqrt()
    half = torch.minimum(reach[:, None] * torch.stack([a, c], 1).sqrt(), rho[:, None])
    low, high = ((mean2d - half) / TILE).floor(), ((mean2d + half) / TILE).ceil()
    return rho.ceil().int(), _clamp_to_grid(low, high, size)


def _clamp_to_grid(low, high, size):
    grid = low.new_tensor([-(-size[1] // TILE), -(-size[0] // TILE)])
    return torch.cat([torch.minimum(corner.clamp(min=0), grid) for corner in (low, high)], 1)


def sh_basis(x, y, z, degree):
    """The real spherical harmonics of 3DGS up to a degree, at unit vectors: a list of (degree + 1)^2 values."""
    basis = [torch.full_like(x, 0.28209479177387814)]
    if degree > 0:
        basis += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    if degree > 1:
        basis += [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * z * z - x * x - y * y),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
        ]
    if degree > 2:
        basis += [
            -0.5900435899266435 * y * (3 * x * x - y * y),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * z * z - x * x - y * y),
            0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y),
            -0.4570457994644658 * x * (4 * z * z - x * x - y * y),
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ]
    return basis


def sh_colours(means, sh_dc, sh_rest, degree, viewmat):
    """[N, 3] colours seen from the camera: max(0, 0.5 + sum of B_l c_l), 1.13."""
    centre = -viewmat[:3, :3].T @ viewmat[:3, 3]
    x, y, z = normalize(means - centre, dim=1).unbind(1)
    basis = sh_basis(x, y, z, degree)
    coefficients = torch.cat([sh_dc[:, None], sh_rest[:, : len(basis) - 1]], 1)
    colour = 0.5 + (torch.stack(basis, 1)[:, :, None] * coefficients).sum(1)
    return torch.where(colour < 0, torch.zeros_like(colour), colour)


class Plane(NamedTuple):
    """The plane that stands for a Gaussian in depth and normal (2.1)."""

    distance: torch.Tensor  # [N] of the mean from the camera
    slope: torch.Tensor     # [N, 2] change of that distance per pixel of (mean2d - pixel)
    normal: torch.Tensor    # [N, 3] view space, unit, toward the camera


def plane(projected, scales, viewmat, K):
    """The plane on which rays attain the maximum response of each Gaussian, by the general expressions of 2.1."""
    t = projected.clamped
    u, v = t[:, 0] / t[:, 2], t[:, 1] / t[:, 2]
    ray = torch.stack([u, v, torch.ones_like(u)], 1)
    ray_length2 = 1 + u**2 + v**2
    axes = viewmat[:3, :3] @ projected.axes
    along = (axes.transpose(1, 2) @ ray[:, :, None])[:, :, 0]                   # ray in the Gaussian's own frame
    thinnest = scales.sort(dim=1, stable=True).indices[:, :1]
    flat = scales.gather(1, thinnest) ** 2 <= 1e-8
    precision = torch.where(flat, torch.zeros_like(scales).scatter(1, thinnest, 1.0), 1 / scales**2)
    m = (axes @ (precision * along)[:, :, None])[:, :, 0]

    known = (torch.isfinite(m).all(1) & (m != 0).any(1))[:, None]
    m = torch.where(known, m, ray)
    unit = m / m.norm(dim=1, keepdim=True)
    q = unit / (unit * ray).sum(1, keepdim=True).clamp(min=1e-7)
    p = ray_length2[:, None] * q[:, :2] - (q * ray).sum(1, keepdim=True) * ray[:, :2]
    per_focal = p * (t.norm(dim=1) / ray_length2)[:, None]
    slope = per_focal / torch.stack([K[0, 0], K[1, 1]])
    nothing = torch.zeros_like(unit)
    return Plane(
        projected.view.norm(dim=1), torch.where(known, slope, nothing[:, :2]), torch.where(known, -unit, nothing)
    )
