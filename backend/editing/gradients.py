# SPDX-License-Identifier: Apache-2.0
"""Deformation gradients of a surface, blended at its vertices so that no seam shows between triangles (spec
extraction_evaluation_editing.md, 3.7.3)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from milo.cuda_ext.neighbours import nearest
from milo.cuda_ext.surface_gradients import RestShape, triangle_gradients, vertex_gradients
from milo.protocol.surfaces import Pose, Surface

from .binding import usable_faces

SLIVER = 1e-3          # |c| of a triangle over its longest edge squared: thinner ones have no gradient
ROUNDS = 4             # rings from which a vertex without a good triangle takes its gradient
SAME_POSITION = 1e-5   # of the mesh's size


class Blended(NamedTuple):
    """Gradients at the vertices. A vertex has one for each side of a mirror's seam."""

    F: Tensor      # [G, 3, 3]
    gone: Tensor   # [G] bool, where the surface has collapsed


class RestTriangles:
    """The triangles of a surface at rest, with what all its poses share.

    corner_group [F, 3] is the gradient of each corner, -1 for faces that no Gaussian follows.
    normal_stretch: across the surface, "uniform" (as along it), "thickness" (kept) or "volume" (kept).
    """

    def __init__(self, surface: Surface, pose: Pose, device: torch.device | str, normal_stretch: str = "uniform"):
        usable = np.flatnonzero(usable_faces(surface))
        faces = torch.from_numpy(surface.faces[usable]).long()
        x = torch.from_numpy(surface.rest_co)[faces].double()
        e1, e2 = x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]
        c = torch.linalg.cross(e1, e2)
        area = c.norm(dim=1)
        good = area > SLIVER * (x - x.roll(1, 1)).norm(dim=2).amax(1) ** 2
        outside = torch.from_numpy(surface.rest_n)[faces].sum(1)
        turned = (c * outside).sum(1) < 0                       # o = -1: a Mirror modifier has reversed the winding
        square = (area * area).clamp_min(1e-300)[:, None]
        side = torch.where(turned, -1.0, 1.0)[:, None]

        group = self._groups(surface, pose, faces, turned)
        order = torch.argsort(group.reshape(-1), stable=True)
        self.normal_stretch, self.count = normal_stretch, int(group.max()) + 1
        flip = torch.from_numpy(surface.flip[surface.part[usable]]).bool()
        self.corner_group = torch.full((len(surface.faces), 3), -1)
        self.corner_group[usable] = group
        self._stray = _nearest_good(group, good, x.mean(1).float(), torch.from_numpy(surface.src[usable]), turned)

        def put(values: Tensor) -> Tensor:
            return (values.float() if values.is_floating_point() else values).to(device)
        duals = torch.stack([torch.linalg.cross(e2, c) / square, torch.linalg.cross(c, e1) / square], 1)
        self.rest = RestShape(put(faces.int()), put(duals), put(side * c / square.sqrt()), put(area), put(good),
                              put(torch.where(flip, -1.0, 1.0)))
        lengths = torch.bincount(group.reshape(-1), minlength=self.count)
        self._begins = put(torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).int())
        self._incident, self.group, self._stray = put((order // 3).int()), put(group), put(self._stray)

    @staticmethod
    def _groups(surface: Surface, pose: Pose, faces: Tensor, turned: Tensor) -> Tensor:
        """[F, 3] number of each corner's gradient: vertices that lie together, at rest and in the pose, share one."""
        size = max(float(np.ptp(pose.positions, axis=0).max()), 1e-30)
        keys = np.concatenate([(surface.rest_co + 0.0).view(np.int32).astype(np.int64),     # + 0.0: -0 is 0
                               np.rint(pose.positions / (SAME_POSITION * size)).astype(np.int64)], 1).astype(np.uint64)
        part = np.zeros(len(keys), np.uint64)
        part[surface.faces] = surface.part[:, None]
        mixed = part
        for column in keys.T:       # a mixing of 64 bits: two of 2^22 vertices meet by chance once in a million meshes
            mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        corner = np.unique(mixed, return_inverse=True)[1].reshape(-1)[faces.numpy()]
        _, first, inverse = np.unique(2 * corner + turned.numpy()[:, None], return_index=True, return_inverse=True)
        number = np.empty_like(first)
        number[np.argsort(first)] = np.arange(len(first))       # as the triangles come: what is read together lies so
        return torch.from_numpy(number[inverse].reshape(-1, 3))

    def of_vertices(self, positions: Tensor) -> Blended:
        """Gradients blended over the triangles around each vertex, by their area at rest; positions [V, 3]."""
        F, weights = triangle_gradients(positions, self.rest, self.normal_stretch)
        blended, totals = vertex_gradients(F, weights, self._begins, self._incident)
        missing = totals <= 0
        if not missing.any():
            return Blended(blended, missing)
        return self._fill(F, self.rest.good & (weights <= 0), blended, missing)

    def _fill(self, F: Tensor, collapsed: Tensor, blended: Tensor, missing: Tensor) -> Blended:
        """Gradients for vertices without a good triangle: from the rings around them, else from the nearest one."""
        fallen = torch.zeros_like(missing)
        fallen[self.group[collapsed]] = True
        for _ in range(ROUNDS):
            if not missing.any():
                break
            here = missing[self.group]                                               # [F, 3]
            face = (here.any(1) & ~here.all(1)).nonzero()[:, 0]
            known = (~here[face]).float()[:, :, None]
            mean = (blended[self.group[face]].reshape(-1, 3, 9) * known).sum(1) / known.sum(1)
            # Slivers have hardly an area: rings count their triangles.
            sums = torch.zeros(self.count, 10, device=F.device)
            for corner in range(3):
                chosen = here[face, corner]
                sums.index_add_(0, self.group[face[chosen], corner], torch.cat(
                    [mean[chosen], torch.ones_like(mean[chosen, :1])], 1))
            filled = sums[:, 9] > 0
            blended = torch.where(filled[:, None, None], (sums[:, :9] / sums[:, 9:].clamp_min(1)).reshape(-1, 3, 3),
                                  blended)
            missing = missing & ~filled
        stray = missing & ~fallen
        known = stray & (self._stray >= 0)
        blended[known] = F[self._stray[known]]
        return Blended(blended, missing & ~known)


def _nearest_good(group: Tensor, good: Tensor, middles: Tensor, src: Tensor, turned: Tensor) -> Tensor:
    """[G] the nearest good triangle at rest, of the same source and side, for vertices with none; -1 for the others."""
    count = int(group.max()) + 1
    out = torch.full((count,), -1)
    has = torch.zeros(count, dtype=torch.bool)
    has[group[good]] = True
    for source in src.unique():
        for side in (False, True):
            here = (src == source) & (turned == side)
            lone = here & ~has[group].all(1)
            usable = (here & good).nonzero()[:, 0]
            if lone.any() and len(usable):
                found = nearest(middles[usable], middles[lone], 1)[1][:, 0].long()
                for corner in range(3):
                    chosen = group[lone, corner]
                    fresh = ~has[chosen]
                    out[chosen[fresh]] = usable[found[fresh]]
    return out
