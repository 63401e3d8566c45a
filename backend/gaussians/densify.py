# SPDX-License-Identifier: Apache-2.0
"""Growing and thinning out the Gaussians (spec training.md 3.4, 3.6, 3.7).

Each function changes a Population; the caller refreshes the 3D filter afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from milo.backend.config import DensifyConfig
from milo.backend.rendering.splats import Splats
from milo.cuda_ext.splats import rasterize_depth

from .population import Population
from .sampling import draw_weighted, keep_mass
from .scores import Scores

MIN_CLONE_OPACITY, MAX_CLONE_OPACITY = 0.0051, 1 - 2.0**-23


def densify_and_prune(population: Population, config: DensifyConfig, extent: float, generator: torch.Generator,
                      max_gaussians: int = 0, drop_large: bool = False) -> None:
    """Copy small Gaussians that pull, split large ones and blurred ones, drop the transparent (3.6, 3.8).

    Args:
        extent: scene extent, world units.
        generator: draws the positions of split children, and with the regular method those of copies.
        max_gaussians: nothing grows from this number on; 0 = no limit.
        drop_large: drop what is larger than config.max_scale extents, too.
    """
    gaussians, statistics = population.gaussians, population.statistics
    if not max_gaussians or len(population) < max_gaussians:
        regular = config.method == "regular"
        pulled = statistics.mean_gradient() >= config.grad_threshold
        if regular:
            pulled |= as_many_of(statistics.mean_absolute(), pulled)
        small = gaussians.scales().amax(1) <= config.percent_dense * extent
        split = (pulled & ~small) | statistics.blurred
        copied, parents = (pulled & small).nonzero().squeeze(1), split.nonzero().squeeze(1)
        rows = torch.cat([(~split).nonzero().squeeze(1), copied, parents.repeat(config.split_children)])
        children = len(parents) * config.split_children
        population.select(rows, len(copied) + children)
        _spread(population, children + len(copied) if regular else children, generator)
        if children:
            population.gaussians.log_scales.detach()[-children:] -= math.log(config.split_shrink)
    keep = population.gaussians.opacities() >= config.min_opacity
    if drop_large:
        keep &= population.gaussians.scales().amax(1) <= config.max_scale * extent
    population.select(keep.nonzero().squeeze(1))


def as_many_of(values: Tensor, chosen: Tensor) -> Tensor:
    """[N] bool: positive values [N] from the quantile on that leaves as large a share as is chosen ([N] bool)."""
    if len(values) == 0:
        return chosen
    place = (len(values) - 1) * (1 - chosen.float().mean().item())
    ordered = values.sort().values
    return (values > 0) & (values >= torch.lerp(ordered[math.floor(place)], ordered[math.ceil(place)], place % 1))


def _spread(population: Population, count: int, generator: torch.Generator) -> None:
    """Move the last `count` Gaussians to points drawn from themselves."""
    if not count:
        return
    gaussians = population.gaussians
    means = gaussians.means.detach()
    noise = torch.randn(count, 3, generator=generator).to(means.device)
    means[-count:] += rotate(gaussians.quats.detach()[-count:], gaussians.scales()[-count:] * noise)


@torch.no_grad()
def reset_opacities(population: Population, ceiling: float = 0.01) -> None:
    """Make everything faint, so that what the photos need comes back (3.8): filtered opacities end at `ceiling`."""
    gaussians = population.gaussians
    filtered, bare = gaussians.splats().opacities, gaussians.opacities()
    lowered = torch.minimum(bare, bare * (ceiling / filtered))
    gaussians.replace({"opacity_logits": torch.logit(lowered)})
    population.optimizer.forget("opacity_logits")


def rotate(quats: Tensor, vectors: Tensor) -> Tensor:
    """Rotate vectors [N, 3] by quaternions [N, 4] (w, x, y, z) of any length."""
    quats = torch.nn.functional.normalize(quats, dim=1, eps=1e-12)
    w, axis = quats[:, :1], quats[:, 1:]
    twice = 2 * torch.linalg.cross(axis, vectors)
    return vectors + w * twice + torch.linalg.cross(axis, twice)


def clone_parameters(opacities: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Opacities [N] and scales [N, 3] that make two stacked Gaussians look like the one they replace (3.4)."""
    halved = 1 - (1 - opacities).sqrt()
    factor = opacities / (2 * halved - halved.square() / math.sqrt(2))
    return halved.clamp(MIN_CLONE_OPACITY, MAX_CLONE_OPACITY), scales * factor[:, None]


def clone_pass(population: Population, scores: Scores, config: DensifyConfig, views: int,
               max_gaussians: int = 0) -> None:
    """Drop what carries no weight, double what dominates somewhere (3.7 c).

    Args:
        scores: of the present set.
        views: number of training views.
        max_gaussians: nothing is doubled from this number on; 0 = no limit.
    """
    population.statistics.set_masks(scores.culled, scores.factor)
    keep = keep_mass(scores.weight, config.clone_prune_mass) & (scores.seen > _min_views(config, views))
    double = keep_mass(scores.of_intersections(scores.weight), config.mass) & keep
    if max_gaussians and len(population) >= max_gaussians:
        double.zero_()
    chosen = double.nonzero().squeeze(1)
    gaussians = population.gaussians
    logits, log_scales = gaussians.opacity_logits.detach(), gaussians.log_scales.detach()
    opacities, scales = clone_parameters(logits[chosen].sigmoid(), log_scales[chosen].exp())
    logits[chosen], log_scales[chosen] = torch.logit(opacities), scales.log()
    population.select(torch.cat([keep.nonzero().squeeze(1), chosen]), len(chosen))


def prune_intersections(population: Population, scores: Scores, config: DensifyConfig) -> None:
    """Keep the mass of Gaussians that dominate somewhere: the first half of the depth re-initialisation (3.7 b 2)."""
    keep = keep_mass(scores.of_intersections(scores.metric), config.mass)
    population.select(keep.nonzero().squeeze(1))


@torch.no_grad()
def depth_points(splats: Splats, views: Sequence, culled: Tensor | None, count: int, near: float, background: Tensor,
                 generator: torch.Generator, masked_only: bool = False) -> tuple[Tensor, Tensor]:
    """Points on the present surface with the photos' colours (3.7 b 3).

    Args:
        views: training views; culled: [V, N] bool or None; near: nearest z drawn, world units.
        count: points from each view, drawn where the picture is opaque; fewer if there are not so many pixels.
        background: [3] colour behind the photos.
        masked_only: no points where a photo's mask is 0.

    Returns:
        points [P, 3] world units, colours [P, 3] in [0, 1].
    """
    points, colors = [], []
    for v, view in enumerate(views):
        camera = view.camera
        _, hit, _, transmittance = rasterize_depth(
            splats.means, splats.scales, splats.quats, splats.opacities, camera.viewmat, camera.K, camera.size,
            cull=None if culled is None else culled[v], near=near)
        opaque = (1 - transmittance).clamp_min(0)
        if masked_only and view.mask is not None:
            opaque = torch.where(view.mask.to(opaque.device) > 0, opaque, 0.0)
        pixels = draw_weighted(opaque.flatten(), count, generator)
        points.append(hit.flatten(1)[:, pixels].T)
        colors.append(view.target(background).flatten(1)[:, pixels].T)
    return torch.cat(points).contiguous(), torch.cat(colors).contiguous()


def simplify(population: Population, scores: Scores, config: DensifyConfig, views: int,
             generator: torch.Generator | None = None) -> None:
    """Keep the Gaussians that matter (3.7 d, e).

    Args:
        generator: given, as at simplification 1: draw `sampling_factor` of the Gaussians with a score, by score; else,
            and always for dense sets, keep the mass of the score.
    """
    seen = scores.seen > _min_views(config, views)
    if config.dense:
        keep = keep_mass(scores.weight, config.mass) & seen
    elif generator is None:
        keep = keep_mass(scores.of_intersections(scores.metric), config.mass) & seen
    else:
        score = scores.of_intersections(scores.metric)
        drawn = draw_weighted(score, int(config.sampling_factor * int((score > 0).sum())), generator)
        keep = torch.zeros_like(seen)
        keep[drawn] = True
        keep &= seen
    population.select(keep.nonzero().squeeze(1))


def _min_views(config: DensifyConfig, views: int) -> int:
    return 0 if views < config.few_views else config.min_views
