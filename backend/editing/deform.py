# SPDX-License-Identifier: Apache-2.0
"""Gaussians that follow a surface into a pose (spec extraction_evaluation_editing.md, 3.7.3 to 3.7.5)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from milo.backend.rendering.splats import Picture, Splats, render_view
from milo.cuda_ext.deformation import carry, reshape
from milo.protocol.surfaces import Pose, Surface

from .binding import Source, bind
from .gradients import Blended, RestTriangles


class Posed(NamedTuple):
    """Gaussians where a pose has put them, in lengths of `unit` world units: an object that was only moved, turned and
    scaled has Gaussians as large as at rest, and every threshold of the rasterisers acts on them as at rest."""

    splats: Splats
    unit: Tensor   # scalar

    def picture(self, viewmat: Tensor, K: Tensor, size: tuple[int, int], background: Tensor | None = None,
                **how) -> Picture:
        """What a camera (viewmat [4, 4], the world of the pose to the camera) sees; `how` as of render_view."""
        scaled = viewmat.clone()
        scaled[:3, :3] *= self.unit
        return render_view(self.splats, scaled, K, size, background, **how)


class Follower:
    """The Gaussians of one or more reconstructions, tied to a surface. Made once for a topology; `pose` is quick.

    Args:
        sources: by their number in `surface.src`.
        surface, pose: the surface, and how it lies now; the pose tells copies of a surface apart.
        device: where poses are computed.
        normal_stretch: see RestTriangles.
        stretch_max: Gaussians do not stretch more than this beside their object's own scale; 0 for no limit.

    Raises:
        ValueError: see `binding.bind`.
    """

    def __init__(self, sources: dict[int, Source], surface: Surface, pose: Pose, device: torch.device | str = "cpu", *,
                 normal_stretch: str = "uniform", stretch_max: float = 8.0):
        bound = bind(sources, surface, pose)
        triangles = RestTriangles(surface, pose, device, normal_stretch)
        parts, counts = bound.part.unique_consecutive(return_counts=True)
        self.gaussian = bound.gaussian             # [M] int64, which Gaussian each drawn one is
        self._device, self._stretch_max, self._triangles = device, stretch_max, triangles
        self._counts = counts.tolist()             # rows of each object in turn
        self._parts = parts.to(device)
        self._object = torch.repeat_interleave(torch.arange(len(parts)), counts).int().to(device)
        self._rest = _rows_of([sources[number].splats for number in sorted(sources)], bound.gaussian).to(device)
        self._group = triangles.corner_group[bound.face].int().to(device)
        self._verts = torch.from_numpy(surface.faces)[bound.face].to(device)
        self._share, self._residual = bound.share.to(device), bound.residual.to(device)
        self._held: tuple[np.ndarray, Tensor, Blended] | None = None

    @torch.no_grad()
    def pose(self, pose: Pose) -> Posed:
        """The Gaussians in another pose of the same surface."""
        rest = self._rest
        if not len(rest.means):
            return Posed(rest, rest.means.new_tensor(1.0))
        if self._held is None or not np.array_equal(self._held[0], pose.positions):
            positions = torch.from_numpy(pose.positions).to(self._device)
            self._held = pose.positions, positions, self._triangles.of_vertices(positions)
        _, positions, corners = self._held      # objects that only move as a whole keep it
        matrices = torch.from_numpy(pose.matrices).to(self._device)[self._parts]
        F, means, volumes, opacities = carry(corners.F, corners.gone, positions, self._group, self._verts, self._share,
                                             self._residual, self._object, matrices, rest.opacities)
        sizes = torch.stack([_typical_scale(rows) for rows in volumes.split(self._counts)])
        unit = sizes[0] if len(sizes) == 1 else _typical_scale(volumes)
        on_the_whole = torch.stack([rows.mean(0) for rows in F.split(self._counts)])
        limits = sizes / unit * (self._stretch_max or float("inf"))
        shaped = reshape(F, unit, self._object, limits, on_the_whole, rest.scales, rest.quats, rest.sh_rest,
                         rest.sh_degree)
        return Posed(Splats(means / unit, shaped.scales, shaped.quats, opacities, rest.sh_dc, shaped.sh_rest,
                            rest.sh_degree), unit)


def _typical_scale(volumes: Tensor) -> Tensor:
    """The median over Gaussians of how they scale lengths, from how they scale volumes; 1 where they are flat."""
    scale = volumes.median() ** (1 / 3)
    return torch.where(scale > 0, scale, 1.0)


def _rows_of(splats: list[Splats], rows: Tensor) -> Splats:
    """Rows of several sets of Gaussians one after the other, with as many harmonics as the one with most."""
    width = max(one.sh_rest.shape[1] for one in splats)
    degree = max(one.sh_degree for one in splats)
    columns = [torch.cat([getattr(one, name) for one in splats])[rows]
               for name in ("means", "scales", "quats", "opacities", "sh_dc")]
    rests = []
    for one in splats:
        active = one.sh_rest[:, : (one.sh_degree + 1) ** 2 - 1]      # others may be trained further
        rests.append(pad(active, (0, 0, 0, width - active.shape[1])))
    return Splats(*columns, torch.cat(rests)[rows], degree)
