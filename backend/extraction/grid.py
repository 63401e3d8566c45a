# SPDX-License-Identifier: Apache-2.0
"""The mesh of rendered depths, fused in a regular grid (spec extraction 1.3 and 1.4).

Only blocks of the grid that some depth touches exist, and they are fused and cut in groups, so that memory stays
bounded whatever the resolution. A block has the samples of its far sides too: what two blocks share they both work out,
to the same bits, and the surface has no cracks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from milo.backend.data.posed import closest_to_axes
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats, render_geometry
from milo.cuda_ext.fusion import fuse_depth

from .clusters import largest_clusters
from .finish import finished
from .maps import CACHE_PIXELS
from .marching_cubes import HALF_RANGE, CellSurface, joined, march_cells
from .steps import ColoredMesh, ExtractStep

GROUP_SAMPLES = 4_000_000   # of the grid that are fused at a time


class Grid(NamedTuple):
    """A regular grid around what the cameras look at."""

    origin: Tensor       # [3] float64, world units: sample (0, 0, 0)
    voxel: float         # world units
    truncation: float    # world units
    depth_max: float     # world units
    block: int           # cells along a block's side; at least twice the truncation

    @property
    def side(self) -> float:
        """Of a block, world units."""
        return self.block * self.voxel


def grid_of(views: Sequence, settings) -> Grid:
    """The grid for these training views; settings: the section tsdf or dtu of the configuration."""
    centers = torch.stack([view.camera.center for view in views]).double().cpu()
    axes = torch.stack([view.camera.viewmat[2, :3] for view in views]).double().cpu()
    focus = torch.from_numpy(closest_to_axes(centers.numpy(), axes.numpy()))
    radius = float((centers - focus).norm(dim=1).min())
    depth_max = settings.depth_max or settings.radius_factor * radius
    voxel = settings.voxel or depth_max / settings.resolution
    block = max(16, math.ceil(2 * settings.truncation))
    return Grid(focus, voxel, settings.truncation * voxel, depth_max, block)


@torch.no_grad()
def fuse_and_extract(splats: Splats, views: Sequence, settings, config,
                     scale: SceneScale) -> Iterator[ExtractStep | ColoredMesh]:
    """Fuse the depths that the Gaussians show to all views, cut the surface out, and colour it from the photos.

    Args:
        splats: activated Gaussians.
        views: training views with photos.
        settings: the section tsdf or dtu of the configuration.
        config: the whole configuration.
        scale: of the scene.

    Yields:
        an ExtractStep per view ("depths") and per group of blocks ("fuse"), then one ColoredMesh.
    """
    grid = grid_of(views, settings)
    depths = _Depths(splats.detach(), views, settings, grid.depth_max, scale)
    found = []
    for index, view in enumerate(views):
        found.append(touched_blocks(depths[index], _camera(view, settings), grid))
        yield ExtractStep("depths", index + 1, len(views), None, 0)
    blocks = _blocks_of(torch.cat(found).unique())
    size = max(1, GROUP_SAMPLES // (grid.block + 1) ** 3)
    groups = blocks.split(size)
    parts: list[CellSurface] = []
    for number, group in enumerate(groups):
        values, weights = _fused(group, grid, depths, views, settings)
        parts.append(_surface(group, grid, values, weights, settings.min_weight))
        yield ExtractStep("fuse", number + 1, len(groups), None, sum(len(part.keys) for part in parts))
    surface = joined(parts) if parts else march_cells(blocks, torch.zeros(0, 8, device=blocks.device))
    faces = surface.faces.int()
    if settings.clusters:
        faces = faces[largest_clusters(faces, len(surface.keys), settings.clusters, settings.min_cluster)]
    verts = (grid.origin.to(surface.positions.device) + grid.voxel * surface.positions).float()
    yield finished(verts, faces, views, config, scale)


class _Depths:
    """The depth [H, W] that each view fuses; 0 where it sees nothing, or nothing that counts."""

    def __init__(self, splats: Splats, views: Sequence, settings, depth_max: float, scale: SceneScale):
        self.splats, self.views, self.settings = splats, views, settings
        self.depth_max, self.scale = depth_max, scale
        self.kept: dict[int, Tensor] = {}
        self.keep = sum(view.camera.width * view.camera.height for view in views) <= CACHE_PIXELS

    def __getitem__(self, index: int) -> Tensor:
        if index in self.kept:
            return self.kept[index]
        view, settings = self.views[index], self.settings
        rendered = render_geometry(self.splats, view.camera, **self.scale.drawing)
        depth = torch.lerp(rendered.expected_depth, rendered.median_depth, settings.median_share)
        counts = (rendered.median_depth > 0) & (depth <= self.depth_max) & (rendered.alpha >= settings.min_alpha)
        if view.mask is not None:
            counts &= view.mask > 127
        depth = torch.where(counts, depth, 0.0)
        if self.keep:
            self.kept[index] = depth
        return depth


def _camera(view, settings):
    """viewmat [4, 4] and K [3, 3] of a view, its principal point shifted as the settings say."""
    K = view.camera.K.clone()
    K[:2, 2] += settings.pixel_shift
    return view.camera.viewmat, K


def touched_blocks(depth: Tensor, camera: tuple[Tensor, Tensor], grid: Grid) -> Tensor:
    """Keys [B] int64 of the blocks within the truncation of the surface that a depth map [H, W] shows."""
    viewmat, K = (matrix.double() for matrix in camera)
    row, column = (depth > 0).nonzero(as_tuple=True)
    z = depth[row, column].double()
    points = torch.stack([(column + 0.5 - K[0, 2]) / K[0, 0] * z, (row + 0.5 - K[1, 2]) / K[1, 1] * z, z], dim=1)
    points = (points - viewmat[:3, 3]) @ viewmat[:3, :3] - grid.origin.to(depth.device)
    low = ((points - grid.truncation) / grid.side).floor().long()
    more = ((points + grid.truncation) / grid.side).floor().long() - low         # 0 or 1: blocks are that large
    reach = HALF_RANGE // grid.block - 2
    inside = (low.abs() < reach).all(dim=1)
    code = (_keys_of(low[inside]) * 8 + (more[inside] * torch.tensor([4, 2, 1], device=depth.device)).sum(1)).unique()
    low, more = _blocks_of(code // 8), code[:, None] >> torch.tensor([2, 1, 0], device=depth.device) & 1
    steps = torch.cartesian_prod(*3 * [torch.arange(2, device=depth.device)])    # [8, 3]
    wanted = (steps <= more[:, None]).all(dim=2)                                 # [C, 8]
    return _keys_of((low[:, None] + steps)[wanted]).unique()


def _keys_of(blocks: Tensor) -> Tensor:
    """One number per block [B, 3], ordered as its coordinates."""
    x, y, z = (blocks + HALF_RANGE).unbind(1)
    return (x << 40) + (y << 20) + z


def _blocks_of(keys: Tensor) -> Tensor:
    return torch.stack([keys >> 40, keys >> 20 & 0xFFFFF, keys & 0xFFFFF], dim=1) - HALF_RANGE


def _fused(blocks: Tensor, grid: Grid, depths: _Depths, views: Sequence, settings) -> tuple[Tensor, Tensor]:
    """Mean truncated distance and number of views [B, n, n, n] at the samples of blocks, n = cells a side + 1."""
    n, device = grid.block + 1, blocks.device
    offsets = torch.cartesian_prod(*3 * [torch.arange(n, device=device)])
    samples = (blocks * grid.block)[:, None] + offsets                           # [B, n^3, 3]
    points = (samples.double() * grid.voxel + grid.origin.to(device)).float()
    values = torch.zeros(points.shape[:2], device=device)
    weights = torch.zeros_like(values)
    middle = points.mean(dim=1, dtype=torch.float64)
    for index, view in enumerate(views):
        viewmat, K = _camera(view, settings)
        rows = _in_view(middle, grid.side, viewmat, K, view.camera.size, grid.depth_max)
        if not len(rows):
            continue
        value, weight = values[rows].view(-1), weights[rows].view(-1)
        fuse_depth(points[rows].view(-1, 3), depths[index], viewmat, K, value, weight, grid.truncation, near=0.0,
                   nearest=True)
        values[rows], weights[rows] = value.view(len(rows), -1), weight.view(len(rows), -1)
    return values.view(-1, n, n, n), weights.view(-1, n, n, n)


def _in_view(middle: Tensor, side: float, viewmat: Tensor, K: Tensor, size: tuple[int, int], far: float) -> Tensor:
    """Rows of the blocks of which a view may see anything; middle [B, 3]. The others it cannot judge."""
    radius = side * math.sqrt(3) / 2
    K = K.double()
    x, y, z = (middle @ viewmat[:3, :3].double().T + viewmat[:3, 3].double()).unbind(1)
    seen = (z > -radius) & (z < far + side + radius)
    for along, focal, center, pixels in ((x, K[0, 0], K[0, 2], size[1]), (y, K[1, 1], K[1, 2], size[0])):
        for sign, edge in ((-1, center), (1, pixels - center)):       # planes through the camera and a picture's edge
            slope = edge / focal
            seen &= sign * along - slope * z < radius * torch.sqrt(1 + slope * slope)
    return seen.nonzero().squeeze(1)


def _surface(blocks: Tensor, grid: Grid, values: Tensor, weights: Tensor, min_weight: int) -> CellSurface:
    """The surface in the cells of blocks whose eight corners enough views have judged."""
    n = grid.block
    inside, judged = values <= 0, weights >= min_weight
    some, every, known = torch.zeros_like(inside[:, :n, :n, :n]), *2 * [torch.ones_like(inside[:, :n, :n, :n])]
    corners = [(c >> 2, c >> 1 & 1, c & 1) for c in range(8)]
    for i, j, k in corners:
        part = (slice(None), slice(i, i + n), slice(j, j + n), slice(k, k + n))
        some, every, known = some | inside[part], every & inside[part], known & judged[part]
    block, *place = (some & ~every & known).nonzero(as_tuple=True)
    cells = (blocks * n)[block] + torch.stack(place, dim=1)
    corner_values = [values[block, place[0] + i, place[1] + j, place[2] + k] for i, j, k in corners]
    return march_cells(cells, torch.stack(corner_values, dim=1))
