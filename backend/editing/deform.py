# SPDX-License-Identifier: Apache-2.0
"""Gaussians that follow a surface into a pose (spec extraction_evaluation_editing.md, 3.7.3 to 3.7.5)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from milo.backend.rendering.splats import Picture, Splats, render_view
from milo.protocol.surfaces import Pose, Surface

from .binding import Source, bind
from .gradients import RestTriangles
from .harmonics import turn_harmonics
from .linear_maps import Columns, decompose, in_pieces, to_matrices, to_quats

LEAST_STRETCH = 1e-4
UNCHANGED = 1e-6       # of F from the identity: Gaussians stay as they are to the last bit


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
        self._object = torch.repeat_interleave(torch.arange(len(parts)), counts).to(device)
        self._rest = _rows_of([sources[number].splats for number in sorted(sources)], bound.gaussian).to(device)
        self._group = triangles.corner_group[bound.face].to(device)
        self._verts = torch.from_numpy(surface.faces).long()[bound.face].to(device)
        self._share, self._residual = bound.share.to(device), bound.residual.to(device)
        self._axes = to_matrices(self._rest.quats) * self._rest.scales[:, None]
        self._held: tuple[np.ndarray, tuple[Tensor, Tensor, Tensor]] | None = None

    @torch.no_grad()
    def pose(self, pose: Pose) -> Posed:
        """The Gaussians in another pose of the same surface."""
        matrices = torch.from_numpy(pose.matrices).to(self._device)
        if self._held is None or not np.array_equal(self._held[0], pose.positions):
            self._held = pose.positions, self._in_objects(torch.from_numpy(pose.positions).to(self._device))
        local, gone, point = self._held[1]      # objects that only move as a whole keep it
        if not len(local):
            return Posed(self._rest, local.new_tensor(1.0))
        W = matrices[self._parts][self._object]
        F, means = W[:, :3, :3] @ local, (W[:, :3, :3] @ point[:, :, None])[..., 0] + W[:, :3, 3]
        unit = _typical_scale(F)
        F = F / unit
        objects = F.split(self._counts)
        limits = torch.stack([_typical_scale(rows) for rows in objects]) * (self._stretch_max or float("inf"))
        turns = _turns(torch.stack([rows.mean(0) for rows in objects]))[1]
        rest, degree = self._rest, self._rest.sh_degree
        scales, quats, sh_rest = in_pieces(lambda *columns: _reshaped(degree, *columns), F, self._axes, rest.scales,
                                           rest.quats, rest.sh_rest, limits[self._object], turns[self._object])
        return Posed(Splats(means / unit, scales, quats, torch.where(gone, 0.0, rest.opacities), rest.sh_dc, sh_rest,
                            degree), unit)

    def _in_objects(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """F [M, 3, 3], whether it has collapsed [M] and where it is [M, 3], of each Gaussian in its object's space."""
        at_vertices = self._triangles.of_vertices(positions)
        share = self._share[:, :, None]
        local = (share * at_vertices.F[self._group].reshape(-1, 3, 9)).sum(1).reshape(-1, 3, 3)
        gone = (at_vertices.gone[self._group] & (self._share > 1e-6)).any(1)
        return local, gone, (share * positions[self._verts]).sum(1) + (local @ self._residual[:, :, None])[..., 0]


def _turns(F: Tensor) -> tuple[Columns, Tensor]:
    """F taken apart, and the rotation or reflection in it."""
    parts = decompose(F, torch.where(torch.linalg.det(F) < 0, -1.0, 1.0))
    return parts, parts.U @ parts.V.transpose(1, 2)


def _reshaped(degree: int, F: Tensor, axes: Tensor, scales: Tensor, quats: Tensor, sh_rest: Tensor, limit: Tensor,
              turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scales, quats and harmonics of Gaussians under F [N, 3, 3].

    axes [N, 3, 3] are R diag(scales) at rest; F stretches by no more than limit [N]; turn [N, 3, 3] is taken where F is
    so flat that it does not tell how it turns.
    """
    (U, S, V), Q = _turns(F)
    kept = torch.minimum(S, limit[:, None]).clamp_min(LEAST_STRETCH)
    changed = (kept != S).any(1)[:, None, None]
    F = torch.where(changed, (U * kept[:, None]) @ V.transpose(1, 2), F)
    middle = S.sum(1) - S.amax(1) - S.amin(1)
    Q = torch.where((middle < LEAST_STRETCH * S.amax(1))[:, None, None], turn, Q)
    U, S, _ = decompose(F @ axes)
    same = ((F - torch.eye(3, device=F.device)).abs().amax((1, 2)) < UNCHANGED)[:, None]
    return (torch.where(same, scales, S), torch.where(same, quats, to_quats(U)), turn_harmonics(sh_rest, Q, degree))


def _typical_scale(F: Tensor) -> Tensor:
    """The median over Gaussians of how F scales lengths; 1 where they are flat."""
    scale = torch.linalg.det(F).abs().median() ** (1 / 3)
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
