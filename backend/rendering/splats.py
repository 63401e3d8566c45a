# SPDX-License-Identifier: Apache-2.0
"""Gaussians as every renderer wants them, and a picture of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor

from milo.cuda_ext.gof import rasterize_gof
from milo.cuda_ext.splats import GeometryRender, PlacedGeometry, place_geometry, rasterize_geometry


class Splats(NamedTuple):
    """Activated Gaussians with the 3D filter applied (spec training.md 2.4): what rasterisers draw."""

    means: Tensor       # [N, 3] world units
    scales: Tensor      # [N, 3] standard deviations, world units
    quats: Tensor       # [N, 4] (w, x, y, z), any length
    opacities: Tensor   # [N] in (0, 1)
    sh_dc: Tensor       # [N, 3]
    sh_rest: Tensor     # [N, K-1, 3]
    sh_degree: int      # active degree, 0..3

    def detach(self) -> Splats:
        """The same Gaussians outside the autograd graph."""
        return Splats(*(value.detach() if isinstance(value, Tensor) else value for value in self))

    def to(self, device: torch.device | str) -> Splats:
        """The same Gaussians on another device."""
        return Splats(*(value.to(device) if isinstance(value, Tensor) else value for value in self))


class Picture(NamedTuple):
    """A rendered view. Depth is the median z depth, the expected one is the mean; 0 where nothing is drawn."""

    image: Tensor           # [3, H, W] in [0, 1]
    depth: Tensor           # [H, W] world units
    alpha: Tensor           # [H, W]
    expected_depth: Tensor  # [H, W] world units


def low_passed(splats: Splats, camera, variance: float) -> Splats:
    """Gaussians wider by `variance` (pixels^2) in the picture of a camera, as opaque as before: as 3DGS draws them.

    They are widened in space, alike in all directions, so that every rasteriser sees the same ones, depths too.
    """
    if not variance:
        return splats
    x, y, z = (splats.means @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]).clamp_min(
        splats.means.new_tensor([-torch.inf, -torch.inf, 1e-6])).unbind(1)
    tangents = (x * x + y * y) / (z * z)      # a ball is seen 1 + tangents / 2 times as wide beside the axis
    width = variance * z * z / (camera.K[0, 0] * camera.K[1, 1] * (1 + tangents / 2))
    return splats._replace(scales=(splats.scales.square() + width[:, None]).sqrt())


def place_splats(splats: Splats, camera, *, near: float = 0.2, rasterizer: str = "radegs") -> PlacedGeometry | None:
    """The first half of `render_geometry`, which waits for nothing; arguments as there. None for "gof": it has none."""
    if rasterizer == "gof":
        return None
    return place_geometry(splats.means, splats.scales, splats.quats, splats.opacities, splats.sh_dc, splats.sh_rest,
                          camera.viewmat, camera.K, camera.size, sh_degree=splats.sh_degree, near=near)


def render_geometry(splats: Splats, camera, background: Tensor | None = None, *, near: float = 0.2,
                    screen_grad: Tensor | None = None, rasterizer: str = "radegs", low_pass: float = 0.0,
                    placed: PlacedGeometry | None = None) -> GeometryRender:
    """Image, depths and normals of Gaussians seen by a camera (spec rasterization.md 2, 3).

    Args:
        splats: the Gaussians.
        camera: anything with viewmat [4, 4], K [3, 3] and size (height, width), on the Gaussians' device.
        background: [3] in [0, 1]; black if None.
        near: Gaussians whose centre is nearer than this (world units) are not drawn.
        screen_grad: [N, 3] zero leaf that receives the screen-space gradient, for densification.
        rasterizer: "radegs", or "gof", whose two depths are the same map.
        low_pass: of `low_passed`, pixels^2.
        placed: what `place_splats` made of the same arguments, or None.
    """
    splats = low_passed(splats, camera, low_pass)
    drawn = (splats.means, splats.scales, splats.quats, splats.opacities, splats.sh_dc, splats.sh_rest, camera.viewmat,
             camera.K, camera.size)
    options = {"sh_degree": splats.sh_degree, "background": background, "near": near, "screen_grad": screen_grad}
    if rasterizer == "gof":
        return rasterize_gof(*drawn, **options)
    return rasterize_geometry(*drawn, **options, placed=placed)


@torch.no_grad()
def render_view(splats: Splats, viewmat: Tensor, K: Tensor, size: tuple[int, int],
                background: Tensor | None = None, *, near: float = 0.2, rasterizer: str = "radegs",
                low_pass: float = 0.0) -> Picture:
    """A picture of Gaussians from any pinhole camera, also of Gaussians that were moved, turned and scaled as a whole.

    Args:
        splats: the Gaussians at rest.
        viewmat: [4, 4] rest world to camera: rotation, translation and uniform scale.
        K: [3, 3] pixels.
        size: (height, width).
        background: [3] in [0, 1]; black if None.
        near: Gaussians whose centre is nearer than this are not drawn, in the units of the Gaussians at rest.
        rasterizer: "radegs" or "gof", with which they were trained.
        low_pass: of `low_passed`, pixels^2; 0.3 for Gaussians of 3DGS.

    Returns:
        Picture; depth in the camera's units, that is, scaled as the Gaussians are.
    """
    scale = torch.linalg.det(viewmat[:3, :3]).abs() ** (1 / 3)
    rigid = viewmat.clone()
    rigid[:3] /= scale      # seen from `scale` times nearer, everything is `scale` times smaller: the same picture
    seen = SimpleNamespace(viewmat=rigid, K=K, size=size)
    drawn = render_geometry(splats, seen, background, near=near, rasterizer=rasterizer, low_pass=low_pass)
    return Picture(drawn.image.clamp(0, 1), drawn.median_depth * scale, drawn.alpha, drawn.expected_depth * scale)
