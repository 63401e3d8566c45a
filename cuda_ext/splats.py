# SPDX-License-Identifier: Apache-2.0
"""Differentiable rasterisers of 3D Gaussians (spec rasterization.md, 1, 2, 5).

Two pictures of the same Gaussians: `rasterize_geometry` (RaDe-GS: colour, depth, normal) and `rasterize_train`
(Mini-Splatting2: colour and who owns the pixels), with the statistics and depth maps of the latter.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from . import cuda
from .arguments import kernel_ready
from .drivers import driver
from .native import native
from .splat_arguments import (
    check_background,
    check_camera,
    check_cull,
    check_drawing,
    check_gaussians,
    check_screen_grad,
    empty_gradients,
    gradient_or_zeros,
    ready,
)


class GeometryRender(NamedTuple):
    """What `rasterize_geometry` returns."""

    image: Tensor  # [3, H, W]
    alpha: Tensor  # [H, W]
    expected_depth: Tensor  # [H, W] z depth, world units, 0 where empty
    median_depth: Tensor  # [H, W] z depth, world units, 0 where empty
    normal: Tensor  # [3, H, W] unit, camera frame, facing the camera, 0 where empty
    radii: Tensor  # [N] int32, pixels, 0 = not seen


class TrainRender(NamedTuple):
    """What `rasterize_train` returns."""

    image: Tensor  # [3, H, W]
    radii: Tensor  # [N] int32, pixels, 0 = not seen
    area_max: Tensor  # [N] int32, pixels in which the Gaussian has the largest weight


class Stats(NamedTuple):
    """What `rasterize_stats` returns."""

    radii: Tensor  # [N] int32, pixels, 0 = not seen
    accum_weights: Tensor  # [N] sum over pixels of the blending weight
    area_proj: Tensor  # [N] int32, pixels drawn on
    area_max: Tensor  # [N] int32, pixels in which the Gaussian has the largest weight


class DepthRender(NamedTuple):
    """What `rasterize_depth` returns."""

    index: Tensor  # [H, W] int32, the Gaussian with the largest weight, -1 where empty
    points: Tensor  # [3, H, W] world point on the ray where it is densest, 0 where empty
    depth: Tensor  # [H, W] z depth of that point, 0 where empty
    transmittance: Tensor  # [H, W] light that passes everything, 1 where empty


def rasterize_geometry(
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
    placed: PlacedGeometry | None = None,
) -> GeometryRender:
    """Colour, depth and normal of Gaussians seen by a pinhole camera (RaDe-GS; spec rasterization.md, 2).

    Args:
        means: [N, 3] float, world units.
        scales: [N, 3] float > 0, standard deviations, world units, 3D filter included.
        quats: [N, 4] float, (w, x, y, z), need not be normalised.
        opacities: [N] float in (0, 1), 3D filter included.
        sh_dc, sh_rest: [N, 3] and [N, K - 1, 3] float, spherical harmonics; K a square, at least (sh_degree + 1)^2.
        viewmat: [4, 4] float, world to camera; camera looks along +z, y down.
        K: [3, 3] float, pixels.
        size: (height, width).
        sh_degree: degree in use, 0 to 3.
        background: [3] float, colour behind the Gaussians; black if None.
        kernel_size: low-pass added to the variances on the image, pixels^2.
        near: Gaussians whose centre is not beyond this z depth are ignored, world units.
        screen_grad: [N, 3] zeros requiring a gradient, or None. After backward its gradient is that of the projected
            centres in normalised device units: x times W/2, y times H/2, and the sum over pixels of absolute values.
        placed: what `place_geometry` made of the same arguments, or None.

    Returns:
        GeometryRender. The median depth is that of the Gaussian which takes the transmittance to one half or below.

    Differentiable in means, scales, quats, opacities, sh_dc and sh_rest, through all outputs but radii; the camera and
    the background get no gradient. float32, or float64 for tests; all tensors alike, on
    one CPU or CUDA device.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or placed was made of other arguments; the message names
            the argument.
    """
    if placed is None:
        placed = place_geometry(means, scales, quats, opacities, sh_dc, sh_rest, viewmat, K, size, sh_degree=sh_degree,
                                kernel_size=kernel_size, near=near)
    elif not placed.is_of((means, scales, quats, opacities, sh_dc, sh_rest, viewmat, K),
                          (*size, sh_degree, kernel_size, near)):
        raise ValueError("placed was made of other Gaussians, another camera or other options: give the same ones.")
    background = check_background(means, background)
    check_screen_grad(means, screen_grad)
    outputs = _Geometry.apply(means, scales, quats, opacities, sh_dc, sh_rest, screen_grad, background, placed)
    return GeometryRender(*outputs)


class PlacedGeometry:
    """Gaussians placed on the image of a camera, while only the GPU knows how many pairs (Gaussian, cell) that makes.

    Attributes:
        count: [1] int32 on the GPU, the number of pairs. Reading it waits: read it together with whatever else is
            awaited. None on the CPU, where nobody needs it.
        pairs: count as a number, to be set by who has read it; if None, the rasteriser reads it.
    """

    def __init__(self, tensors: tuple, options: tuple):
        """tensors: means to sh_rest, viewmat, K; options: height, width, sh_degree, kernel_size, near."""
        self._tensors, self.options, self.pairs = tensors, options, None
        self.inputs = ready(*tensors)
        means, (height, width, sh_degree, kernel_size, near) = tensors[0], options
        self.radii = means.new_empty(len(means), dtype=torch.int32)
        *gaussians, viewmat, K = self.inputs
        view = (*gaussians, sh_degree, viewmat, K, height, width)
        if means.is_cuda:
            self._scene = cuda.place_geometry(*view, kernel_size, near, self.radii)
            self.count = self._scene.count
        else:
            self._view = view
            self.count = None

    def is_of(self, tensors: tuple, options: tuple) -> bool:
        """True if it was made of these."""
        return all(a is b for a, b in zip(tensors, self._tensors)) and options == self.options

    def render(self, background: Tensor, *images: Tensor):
        """Draw the images; the frame that the backward pass needs."""
        *_, kernel_size, near = self.options
        if self.radii.is_cuda:
            return cuda.GeometryFrame.render(self._scene, self.pairs, background, kernel_size, *images)
        frame = native.GeometryFrame64 if background.dtype == torch.float64 else native.GeometryFrame32
        return frame.render(*self._view, background, kernel_size, near, *images, self.radii)


def place_geometry(
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
    kernel_size: float = 0.0,
    near: float = 0.2,
) -> PlacedGeometry:
    """The first half of `rasterize_geometry`, which waits for nothing; arguments and errors as there.

    For who has other sizes to wait for: read them together, set `pairs`, and give the result to `rasterize_geometry`.
    """
    height, width = check_drawing(means, scales, quats, opacities, sh_dc, sh_rest, sh_degree, viewmat, K, size)
    return PlacedGeometry((means, scales, quats, opacities, sh_dc, sh_rest, viewmat, K),
                          (height, width, int(sh_degree), float(kernel_size), float(near)))


def rasterize_train(
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
    near: float = 0.2,
    screen_grad: Tensor | None = None,
    cull: Tensor | None = None,
) -> TrainRender:
    """Colour of Gaussians, and how many pixels each one dominates (Mini-Splatting2; spec rasterization.md, 5.2).

    Args as in `rasterize_geometry`, with a fixed low-pass of 0.3 pixels^2 and no compensation of the opacity, and:
        cull: [N] bool, True = ignore the Gaussian; or None.
        screen_grad: as there, its third component stays 0.

    Returns:
        TrainRender.

    Differentiable in means, scales, quats, opacities, sh_dc and sh_rest through the image. float32 or float64.

    Raises:
        ValueError: shapes, dtypes or devices do not agree; the message names the argument.
    """
    height, width = check_drawing(means, scales, quats, opacities, sh_dc, sh_rest, sh_degree, viewmat, K, size)
    background = check_background(means, background)
    check_cull(means, cull)
    check_screen_grad(means, screen_grad)
    outputs = _Train.apply(
        means, scales, quats, opacities, sh_dc, sh_rest, screen_grad, viewmat, K, background, cull,
        height, width, int(sh_degree), float(near),
    )  # fmt: skip
    return TrainRender(*outputs)


def rasterize_stats(
    means: Tensor,
    scales: Tensor,
    quats: Tensor,
    opacities: Tensor,
    viewmat: Tensor,
    K: Tensor,
    size: tuple[int, int],
    *,
    cull: Tensor | None = None,
    near: float = 0.2,
) -> Stats:
    """How much each Gaussian matters to a picture, as `rasterize_train` draws it (spec rasterization.md, 5.3).

    Args as in `rasterize_train`. Returns Stats. No gradients. float32 or float64.

    Raises:
        ValueError: shapes, dtypes or devices do not agree; the message names the argument.
    """
    height, width = _check_readout(means, scales, quats, opacities, viewmat, K, size, cull)
    radii, area_proj, area_max = (means.new_empty(len(means), dtype=torch.int32) for _ in range(3))
    accum_weights = means.new_empty(len(means))
    driver(means).splat_stats(
        *ready(means, scales, quats, opacities), _ready_mask(cull), *ready(viewmat, K), height, width, float(near),
        radii, accum_weights, area_proj, area_max,
    )  # fmt: skip
    return Stats(radii, accum_weights, area_proj, area_max)


def rasterize_depth(
    means: Tensor,
    scales: Tensor,
    quats: Tensor,
    opacities: Tensor,
    viewmat: Tensor,
    K: Tensor,
    size: tuple[int, int],
    *,
    cull: Tensor | None = None,
    near: float = 0.2,
) -> DepthRender:
    """Where the Gaussian that dominates each pixel is densest along the pixel's ray (spec rasterization.md, 5.4).

    Gaussians that are densest behind the camera on a ray do not count there.

    Args as in `rasterize_train`. Returns DepthRender. No gradients. float32 or float64.

    Raises:
        ValueError: shapes, dtypes or devices do not agree; the message names the argument.
    """
    height, width = _check_readout(means, scales, quats, opacities, viewmat, K, size, cull)
    index = means.new_empty(height, width, dtype=torch.int32)
    points, depth, transmittance = (means.new_empty(*c, height, width) for c in ((3,), (), ()))
    driver(means).splat_depth(
        *ready(means, scales, quats, opacities), _ready_mask(cull), *ready(viewmat, K), height, width, float(near),
        index, points, depth, transmittance,
    )  # fmt: skip
    return DepthRender(index, points, depth, transmittance)


class _Geometry(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, scales, quats, opacities, sh_dc, sh_rest, screen_grad, background, placed):
        *gaussians, _, _ = placed.inputs
        height, width, ctx.sh_degree, *_ = placed.options
        image, normal = means.new_empty(3, height, width), means.new_empty(3, height, width)
        alpha, expected, median = (means.new_empty(height, width) for _ in range(3))
        images = (image, alpha, expected, median, normal)
        ctx.frame = placed.render(kernel_ready(background), *images)
        ctx.save_for_backward(*gaussians, *images)
        ctx.mark_non_differentiable(placed.radii)
        ctx.set_materialize_grads(False)
        return (*images, placed.radii)

    @staticmethod
    def backward(ctx, g_image, g_alpha, g_expected, g_median, g_normal, _):
        *saved, image, alpha, expected, median, normal = ctx.saved_tensors
        planes = [(g_expected, expected), (g_median, median), (g_normal, normal)]
        no_planes = all(g is None for g, _ in planes)
        grads = empty_gradients(saved, ctx.needs_input_grad)
        ctx.frame.backward(
            *saved, ctx.sh_degree, image, alpha, expected, median, normal,
            gradient_or_zeros(g_image, image), None if g_alpha is None else kernel_ready(g_alpha),
            *((None, None, None) if no_planes else (gradient_or_zeros(g, like) for g, like in planes)),
            *grads,
        )  # fmt: skip
        return (*grads, None, None)


class _Train(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, means, scales, quats, opacities, sh_dc, sh_rest, screen_grad, viewmat, K, background, cull,
        height, width, sh_degree, near,
    ):  # fmt: skip
        gaussians = ready(means, scales, quats, opacities, sh_dc, sh_rest)
        image = means.new_empty(3, height, width)
        radii, area_max = (means.new_empty(len(means), dtype=torch.int32) for _ in range(2))
        frame_class = getattr(driver(means), "TrainFrame64" if means.dtype == torch.float64 else "TrainFrame32")
        ctx.frame = frame_class.render(
            *gaussians, sh_degree, _ready_mask(cull), *ready(viewmat, K), height, width, *ready(background), near,
            image, radii, area_max,
        )  # fmt: skip
        ctx.sh_degree = sh_degree
        ctx.save_for_backward(*gaussians, image)
        ctx.mark_non_differentiable(radii, area_max)
        return image, radii, area_max

    @staticmethod
    def backward(ctx, g_image, *_):
        *saved, image = ctx.saved_tensors
        grads = empty_gradients(saved, ctx.needs_input_grad)
        ctx.frame.backward(*saved, ctx.sh_degree, image, *ready(g_image), *grads)
        return (*grads, *[None] * 8)


def _ready_mask(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.contiguous()


def _check_readout(means, scales, quats, opacities, viewmat, K, size, cull) -> tuple[int, int]:
    check_gaussians(means, scales, quats, opacities)
    check_cull(means, cull)
    return check_camera(means, viewmat, K, size)
