# SPDX-License-Identifier: Apache-2.0
"""From Gaussians to pivots and their tetrahedra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from milo.backend.gaussians.sampling import draw_weighted
from milo.backend.gaussians.scores import score_views
from milo.backend.mesh.pivots import gaussian_pivots
from milo.backend.rendering.splats import Splats
from milo.cuda_ext.delaunay import delaunay

from .cameras import as_camera


@torch.no_grad()
def sample_gaussians_on_surface(
    views: Sequence, means: Tensor, scales: Tensor, rotations: Tensor, opacities: Tensor, n_max_samples: int,
    scene_type: Literal["indoor", "outdoor"], sampling_mask: Tensor | None = None,
    sampling_method: Literal["surface", "surface+opacity"] = "surface", *, generator: torch.Generator | None = None,
    near: float = 0.2,
) -> Tensor:
    """Indices [n] int64, ascending, n <= n_max_samples, of Gaussians that matter for the surface.

    Renders every view once: call it once, in the middle of training.

    Args:
        views: training views.
        means, scales, rotations, opacities: the Gaussians.
        scene_type: scores a Gaussian by its summed weight (indoor) or its mean weight per pixel (outdoor).
        sampling_mask: [N] bool, candidates; None = all.
        sampling_method: "surface+opacity" fills up to n_max_samples by opacity.
        generator: of the draws; seeded with 0 if None.
        near: Gaussians nearer to a camera are not drawn, world units.

    Raises:
        ValueError: an unknown scene_type or sampling_method.
    """
    if scene_type not in ("indoor", "outdoor"):
        raise ValueError(f"scene_type is {scene_type!r}; choose indoor or outdoor.")
    if sampling_method not in ("surface", "surface+opacity"):
        raise ValueError(f"sampling_method is {sampling_method!r}; choose surface or surface+opacity.")
    generator = generator or torch.Generator().manual_seed(0)
    splats = Splats(means, scales, rotations, opacities.reshape(-1), means.new_zeros(len(means), 3),
                    means.new_zeros(len(means), 0, 3), 0).detach()
    scores = score_views(splats, [as_camera(view) for view in views], importance=scene_type, mass=0.99, near=near)
    weights = scores.of_intersections(scores.metric)
    if sampling_mask is not None:
        weights = torch.where(sampling_mask, weights, 0.0)
    drawn = draw_weighted(weights, n_max_samples, generator)
    drawn = drawn[scores.seen[drawn] > 1]
    if sampling_method == "surface+opacity" and len(drawn) < n_max_samples:
        left = splats.opacities.clone() if sampling_mask is None else torch.where(sampling_mask, splats.opacities, 0.0)
        left[drawn] = 0
        drawn = torch.cat([drawn, draw_weighted(left, n_max_samples - len(drawn), generator)]).sort().values
    return drawn


def extract_gaussian_pivots(
    means: Tensor, scales: Tensor, rotations: Tensor, gaussian_idx: Tensor | None = None,
    scale_pivots_with_downsample_ratio: bool = True, scale_pivots_factor: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Nine pivots a Gaussian, differentiable: points [9n, 3] and radii [9n, 1].

    Rows 8g + j are the corners of the 3-sigma box of Gaussian g (of gaussian_idx, if given), z fastest; rows 8n + g the
    centres. See `to_pivot_order` and `from_pivot_order`.

    Args:
        gaussian_idx: [n] int64; None = all.
        scale_pivots_with_downsample_ratio: boxes of n of N Gaussians grow by (N/n)^(1/3).
        scale_pivots_factor: or by this, if the former is False.
    """
    share = 1.0
    if gaussian_idx is not None:
        if scale_pivots_with_downsample_ratio:
            share = len(gaussian_idx) / len(means)
        elif scale_pivots_factor is not None:
            share = scale_pivots_factor**-3
        means, scales, rotations = (values[gaussian_idx] for values in (means, scales, rotations))
    pivots = gaussian_pivots(means, scales, rotations, share)
    return pivots.points, pivots.radii[:, None]


@torch.no_grad()
def compute_delaunay_triangulation(
    means: Tensor | None = None, scales: Tensor | None = None, rotations: Tensor | None = None,
    gaussian_idx: Tensor | None = None, scale_pivots_with_downsample_ratio: bool = True,
    scale_pivots_factor: float | None = None, override_pivots: Tensor | None = None,
) -> Tensor:
    """Delaunay tetrahedra [T, 4] int64 of the Gaussians' pivots, or of override_pivots [P, 3]; positively oriented.

    The same points give the same tetrahedra. On the CPU, in seconds for millions of points.
    """
    pivots = override_pivots
    if pivots is None:
        pivots, _ = extract_gaussian_pivots(means, scales, rotations, gaussian_idx, scale_pivots_with_downsample_ratio,
                                            scale_pivots_factor)
    return delaunay(pivots.detach()).to(pivots.device, torch.int64)
