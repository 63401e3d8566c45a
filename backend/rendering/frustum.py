# SPDX-License-Identifier: Apache-2.0
"""What a camera can see at all: points, and faces as the reference decides it (spec training.md 5.5)."""

from __future__ import annotations

import torch
from torch import Tensor

from .scale import SceneScale


def pixels_of(points: Tensor, camera, near: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where points lie in a picture.

    Args:
        points: [P, 3] world units; camera: anything with viewmat [4, 4], K [3, 3] and size (height, width).
        near: z depth up to which a point does not count, world units.

    Returns:
        inside [P] bool: it lies in the picture; row, column [P] int64 of its pixel, or of one at the border;
        z depth [P].
    """
    x, y, z = (points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]).unbind(1)
    (fx, _, cx), (_, fy, cy), _ = camera.K.unbind(0)
    safe = z.clamp_min(near)
    column, row = (fx * x / safe + cx).floor(), (fy * y / safe + cy).floor()
    height, width = camera.size
    inside = (z > near) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return inside, row.clamp(0, height - 1).long(), column.clamp(0, width - 1).long(), z


@torch.no_grad()
def faces_in_view(verts: Tensor, faces: Tensor, camera, scale: SceneScale) -> Tensor:
    """Faces [F', 3] with a vertex in the picture. Those whose vertices all lie outside are lost: see Q13.

    Args:
        verts: [V, 3]; faces: [F, 3] int32.
        camera: anything with viewmat [4, 4], K [3, 3] and size (height, width).
        scale: gives the depths between which a vertex counts.
    """
    local = verts.detach() @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    depth = local[:, 2]
    pixel = (local[:, :2] / depth.clamp_min(1e-6)[:, None] * camera.K[[0, 1], [0, 1]] + camera.K[:2, 2] - 0.5).round()
    height, width = camera.size
    inside = (pixel >= 0).all(1) & (pixel[:, 0] <= width - 1) & (pixel[:, 1] <= height - 1)
    inside &= (depth > scale.mesh_near) & (depth < scale.mesh_far)
    return faces[inside[faces.long()].any(1)]
