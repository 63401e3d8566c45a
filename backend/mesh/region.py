# SPDX-License-Identifier: Apache-2.0
"""The region of interest: a box, placed anywhere, outside of which there is no mesh."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .surface import compact


class Region:
    """A box in the world: the cube from -1 to 1 under a matrix, as Blender's Empty of that shape.

    Args:
        matrix: [16] numbers, row-major: box to world. Invertible and affine.
    """

    def __init__(self, matrix: Sequence[float]):
        box = torch.tensor(matrix, dtype=torch.float64).view(4, 4)
        self.to_box = torch.linalg.inv(box)   # [4, 4] world to box

    def contains(self, points: Tensor, margin: float = 0.0) -> Tensor:
        """[P] bool: points [P, 3] in the box, or outside by less than `margin` of its half sides."""
        move = self.to_box.to(points)
        return ((points @ move[:3, :3].T + move[:3, 3]).abs() <= 1 + margin).all(dim=1)

    def crop(self, verts: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """The faces whose three vertices lie in the box, and the vertices that these use."""
        inside = self.contains(verts)
        return compact(verts, faces[inside[faces.long()].all(dim=1)])


def region_of(config) -> Region | None:
    """The region of a whole configuration, None without one."""
    return Region(config.region.box) if config.region.box else None
