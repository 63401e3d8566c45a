# SPDX-License-Identifier: Apache-2.0
"""Which point of a surface every Gaussian follows; found once for a topology (spec extraction_evaluation_editing.md,
3.7.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from milo.backend.rendering.splats import Splats
from milo.cuda_ext.closest import closest_on_mesh
from milo.protocol.surfaces import Pose, Surface

REST_OK = 0.999          # below it a corner is not of the reconstruction
DELETED = 0.5            # of an edge: a surface that is farther from where the Gaussian belongs is another surface
SAME_DISTANCE = 1e-5     # of an edge: copies of a triangle
SAME_PLACE = 1e-4        # of an edge: hits on a common edge or corner


class Anchors(NamedTuple):
    """Where Gaussians belong on the mesh of their reconstruction."""

    points: Tensor    # [N, 3] closest point of the mesh
    lengths: Tensor   # [N] longest edge of its triangle


@dataclass(frozen=True, eq=False)
class Source:
    """A reconstruction: its Gaussians, and where each belongs on its own full mesh. On the CPU."""

    splats: Splats
    anchors: Anchors

    @staticmethod
    def of(splats: Splats, verts: np.ndarray, faces: np.ndarray) -> Source:
        """From Gaussians and the mesh (verts [V, 3], faces [F, 3]) that was extracted with them."""
        verts, faces = torch.from_numpy(verts.astype(np.float32)), torch.from_numpy(faces.astype(np.int32))
        splats = splats.detach().to("cpu")
        hits = closest_on_mesh(splats.means, verts, faces)
        corners = verts[faces[hits.faces.long()].long()]
        return Source(splats, Anchors((hits.shares[:, :, None] * corners).sum(1), longest_edges(corners)))


class Bound(NamedTuple):
    """Gaussians on a surface: row by row, the rows of an object together. A copied surface has rows of its own for the
    same Gaussian; one whose surface is gone has none."""

    gaussian: Tensor   # [M] int64, in the sources' Gaussians one after the other, by number of the source
    face: Tensor       # [M] int64, of the surface
    share: Tensor      # [M, 3] barycentric coordinates
    residual: Tensor   # [M, 3] from that point at rest to the Gaussian's mean
    part: Tensor       # [M] int64


def longest_edges(corners: Tensor) -> Tensor:
    """[F, 3, 3] corners -> [F] lengths."""
    return (corners - corners.roll(1, 1)).norm(dim=2).amax(1)


def usable_faces(surface: Surface) -> np.ndarray:
    """[F] bool: triangles all of whose corners have a rest position, and that belong to a reconstruction."""
    return (surface.rest_ok[surface.faces] >= REST_OK).all(1) & (surface.src > 0)


def bind(sources: dict[int, Source], surface: Surface, pose: Pose) -> Bound:
    """Bind the Gaussians of every source to each object that shows a part of it.

    Raises:
        ValueError: the surface has rest positions nowhere, or is of a source that is not given.
    """
    usable = usable_faces(surface)
    if not usable.any():
        raise ValueError("No triangle of the surface knows its rest position. A Remesh removes them: put the modifier "
                         "away, or apply it and transfer rest_co, rest_ok and rest_n from the mesh before.")
    if missing := set(np.unique(surface.src[usable]).tolist()) - set(sources):
        raise ValueError(f"The surface is of reconstruction number {min(missing)}, whose splats are not given.")
    first, starts = 0, {}
    for number, source in sorted(sources.items()):
        starts[number] = first
        first += len(source.splats.means)
    found = []
    for part in range(len(surface.replicate)):
        for number in sorted(sources):
            rows = np.flatnonzero(usable & (surface.part == part) & (surface.src == number))
            if len(rows):
                bound = _bind_part(sources[number], surface, pose, rows, bool(surface.replicate[part]))
                found.append(bound._replace(gaussian=bound.gaussian + starts[number],
                                            part=torch.full_like(bound.gaussian, part)))
    return Bound(*(torch.cat(values) for values in zip(*found)))


def _bind_part(source: Source, surface: Surface, pose: Pose, rows: np.ndarray, replicate: bool) -> Bound:
    """Bind to the triangles `rows` of one object."""
    faces = torch.from_numpy(surface.faces[rows])
    rest, points = torch.from_numpy(surface.rest_co), source.anchors.points
    hits = closest_on_mesh(points, rest, faces, SAME_DISTANCE * source.anchors.lengths)
    gaussian = torch.repeat_interleave(torch.arange(len(points)), hits.counts.long())
    face, share = hits.faces.long(), hits.shares

    corners = rest[faces.long()[face]]
    at = (share[:, :, None] * corners).sum(1)
    edge = torch.maximum(longest_edges(corners), source.anchors.lengths[gaussian])
    here = (at - points[gaussian]).norm(dim=1) <= DELETED * edge
    gaussian, face, share, corners, at, edge = (values[here] for values in (gaussian, face, share, corners, at, edge))

    # The side that faces as the reconstruction did comes first: not the inner shell of a Solidify.
    outside = torch.from_numpy(surface.rest_n)[faces.long()[face]].sum(1)
    inner = (torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) * outside).sum(1) <= 0
    order = torch.from_numpy(np.lexsort((face.numpy(), inner.numpy(), gaussian.numpy())))
    posed = (share[:, :, None] * torch.from_numpy(pose.positions)[faces.long()[face]]).sum(1)
    kept = _clusters(gaussian, posed, SAME_PLACE * edge, order) if replicate else order[_first(gaussian[order])]
    gaussian, face = gaussian[kept], face[kept]
    return Bound(gaussian, torch.from_numpy(rows)[face], share[kept], source.splats.means[gaussian] - at[kept],
                 torch.zeros_like(gaussian))


def _first(values: Tensor) -> Tensor:
    """[M] bool: where sorted values differ from the one before."""
    first = torch.ones(len(values), dtype=torch.bool)
    first[1:] = values[1:] != values[:-1]
    return first


def _clusters(gaussian: Tensor, posed: Tensor, reach: Tensor, order: Tensor) -> Tensor:
    """One hit for each place [.., 3] where a Gaussian's surface is now, in the order given."""
    kept = []
    while len(order):
        first = _first(gaussian[order])
        leader = order[first][first.cumsum(0) - 1]
        kept.append(order[first])
        order = order[(posed[order] - posed[leader]).norm(dim=1) >= reach[order]]
    return torch.cat(kept).sort().values if kept else order
