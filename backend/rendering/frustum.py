# SPDX-License-Identifier: Apache-2.0
"""Which faces of a mesh a camera can see at all, as the reference decides it (spec training.md 5.5)."""

from __future__ import annotations

import torch
from torch import Tensor

from .scale import SceneScale


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
