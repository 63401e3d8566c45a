# SPDX-License-Identifier: Apache-2.0
"""The GOF rasteriser: each Gaussian as opaque as at its densest point along the ray (spec rasterization.md, 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from .arguments import kernel_ready
from .drivers import driver
from .splat_arguments import (
    check_background,
    check_drawing,
    check_screen_grad,
    empty_gradients,
    gradient_or_zeros,
    ready,
)
from .splats import GeometryRender


def rasterize_gof(
    means: Tensor,
    scales: Tensor,
    quats: Tensor,
    opacities: Tensor,
    sh_dc: Tensor,
    sh_rest: Tensor,
    viewmat: Tensor,
    K: Tensor,
    size: tuple[int, int],
    *,
    sh_degree: int = 0,
    background: Tensor | None = None,
    kernel_size: float = 0.0,
    near: float = 0.2,
    screen_grad: Tensor | None = None,
) -> GeometryRender:
    """Colour, depth and normal of Gaussians seen by a pinhole camera, by their exact maxima along the rays.

    Args, errors and dtypes as in `rasterize_geometry`, and:
        kernel_size: low-pass of the tiles' extents and of the opacities' compensation alone.
        near: Gaussians are also ignored on rays along which they are densest before this z depth.
        screen_grad: gets its statistic from the falloff projected to the image, which has no part in the picture.

    Returns:
        GeometryRender. expected_depth and median_depth are the same map: the depth at which the Gaussian that takes the
        transmittance to one half or below is densest.

    Differentiable as `rasterize_geometry` is. As in the reference, no gradient passes through the compensation.
    """
    height, width = check_drawing(means, scales, quats, opacities, sh_dc, sh_rest, sh_degree, viewmat, K, size)
    background = check_background(means, background)
    check_screen_grad(means, screen_grad)
    image, alpha, depth, normal, radii = _Gof.apply(
        means, scales, quats, opacities, sh_dc, sh_rest, screen_grad, viewmat, K, background,
        height, width, int(sh_degree), float(kernel_size), float(near),
    )  # fmt: skip
    return GeometryRender(image, alpha, depth, depth, normal, radii)


class _Gof(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, means, scales, quats, opacities, sh_dc, sh_rest, screen_grad, viewmat, K, background,
        height, width, sh_degree, kernel_size, near,
    ):  # fmt: skip
        gaussians = ready(means, scales, quats, opacities, sh_dc, sh_rest)
        image, alpha, depth, normal = (means.new_empty(*c, height, width) for c in ((3,), (), (), (3,)))
        radii = means.new_empty(len(means), dtype=torch.int32)
        frame_class = getattr(driver(means), "GofFrame64" if means.dtype == torch.float64 else "GofFrame32")
        images = (image, alpha, depth, normal)
        ctx.frame = frame_class.render(
            *gaussians, sh_degree, *ready(viewmat, K), height, width, *ready(background), kernel_size, near,
            *images, radii,
        )  # fmt: skip
        ctx.sh_degree = sh_degree
        ctx.save_for_backward(*gaussians, *images)
        ctx.mark_non_differentiable(radii)
        ctx.set_materialize_grads(False)
        return (*images, radii)

    @staticmethod
    def backward(ctx, g_image, g_alpha, g_depth, g_normal, _):
        *saved, image, alpha, depth, normal = ctx.saved_tensors
        planes = [(g_depth, depth), (g_normal, normal)]
        no_planes = all(g is None for g, _ in planes)
        grads = empty_gradients(saved, ctx.needs_input_grad)
        ctx.frame.backward(
            *saved, ctx.sh_degree, image, alpha, depth, normal,
            gradient_or_zeros(g_image, image), None if g_alpha is None else kernel_ready(g_alpha),
            *((None, None) if no_planes else (gradient_or_zeros(g, like) for g, like in planes)),
            *grads,
        )  # fmt: skip
        return (*grads, *[None] * 8)
