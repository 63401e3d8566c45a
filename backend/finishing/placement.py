# SPDX-License-Identifier: Apache-2.0
"""Where an asset stands: its scale, its up axis and its origin, for mesh and Gaussians alike."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from milo.backend.data.ply import SplatColumns
from milo.cuda_ext.deformation import turn_harmonics

ORIGINS = ("keep", "base", "center")
# Turns that bring an axis of the scene to +Z, by the shortest way: (w, x, y, z).
_HALF = 0.5 ** 0.5
UP = {"z": (1, 0, 0, 0), "-z": (0, 1, 0, 0), "y": (_HALF, _HALF, 0, 0), "-y": (_HALF, -_HALF, 0, 0),
      "x": (_HALF, 0, -_HALF, 0), "-x": (_HALF, 0, _HALF, 0)}


class Placement(NamedTuple):
    """x' = scale R x + offset."""

    scale: float
    quat: tuple[float, float, float, float]   # R, (w, x, y, z), unit
    offset: np.ndarray                        # [3]

    @property
    def R(self) -> np.ndarray:
        """[3, 3] float64 rotation."""
        return Rotation.from_quat(np.roll(self.quat, -1)).as_matrix()     # scipy's have w last

    @property
    def matrix(self) -> np.ndarray:
        """[4, 4] float32: from the scene to the place."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.scale * self.R, self.offset
        return matrix.astype(np.float32)

    def moved(self, verts: np.ndarray) -> np.ndarray:
        """Points [V, 3] in their place, float32."""
        return (self.scale * verts.astype(np.float64) @ self.R.T + self.offset).astype(np.float32)


def placement(verts: np.ndarray, scale: float = 1.0, up: str = "z", origin: str = "keep") -> Placement:
    """How to place a mesh.

    Args:
        verts: [V, 3] of the mesh, world units.
        scale: metres that a world unit is.
        up: the axis of the scene that shall be +Z: x, -x, y, -y, z or -z.
        origin: "keep" the scene's; "base": below the middle of the mesh, at its lowest point; "center": the middle of
            its bounding box.

    Raises:
        ValueError: an argument is none of these.
    """
    if up not in UP:
        raise ValueError(f"--up {up}: choose {', '.join(UP)}.")
    if origin not in ORIGINS:
        raise ValueError(f"--origin {origin}: choose {', '.join(ORIGINS)}.")
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"--scale {scale}: give a number greater than 0.")
    at_origin = Placement(scale, UP[up], np.zeros(3))
    if origin == "keep":
        return at_origin
    placed = at_origin.moved(verts).astype(np.float64)
    low, high = placed.min(0), placed.max(0)
    offset = -(low + high) / 2
    if origin == "base":
        offset[2] = -low[2]
    return at_origin._replace(offset=offset)


def moved_splats(splats: SplatColumns, place: Placement) -> SplatColumns:
    """Gaussians in their place: positions, sizes, axes and spherical harmonics."""
    w, x, y, z = place.quat
    by = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]], np.float32)
    turn = torch.from_numpy(place.R.astype(np.float32)).expand(len(splats.means), 3, 3)
    sh_rest = turn_harmonics(torch.from_numpy(splats.sh_rest), turn, splats.sh_degree).numpy()
    size = np.float32(place.scale)
    return replace(splats, means=place.moved(splats.means), scales=splats.scales + np.log(size),
                   quats=splats.quats @ by.T, sh_rest=sh_rest,
                   filter_3d=None if splats.filter_3d is None else splats.filter_3d * size)
