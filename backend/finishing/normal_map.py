# SPDX-License-Identifier: Apache-2.0
"""The relief of a full mesh as a tangent-space normal map of a light one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from milo.cuda_ext.closest import closest_on_mesh

from .texels import Texels
from .unwrap import vertex_normals


@torch.no_grad()
def bake_normals(texels: Texels, verts: np.ndarray, faces: np.ndarray) -> Tensor:
    """Normals [T, 3] as colours in [0, 1]: x along u, y up the image, z out of the surface (glTF's and Blender's way).

    A texel takes the smooth normal at the closest point of the full mesh; where that is turned away, as on the other
    side of something thin, the surface keeps its own.

    Args:
        texels: of the light mesh.
        verts: [V, 3] float32; faces: [F, 3] int32, of the full mesh.
    """
    hits = closest_on_mesh(texels.points, torch.from_numpy(verts), torch.from_numpy(faces))
    smooth = torch.from_numpy(vertex_normals(verts, faces)).to(texels.points)
    corners = torch.from_numpy(faces).to(texels.points.device)[hits.faces.long()].long()
    full = normalize((smooth[corners] * hits.shares[:, :, None]).sum(1), dim=1)
    facing = (full * texels.normals).sum(1) > 0
    full = torch.where(facing[:, None], full, texels.normals)
    tangent, hand = texels.tangents[:, :3], texels.tangents[:, 3:]
    tangent = normalize(tangent - (tangent * texels.normals).sum(1, keepdim=True) * texels.normals, dim=1)
    bitangent = hand * torch.linalg.cross(texels.normals, tangent)
    local = torch.stack([(full * axis).sum(1) for axis in (tangent, bitangent, texels.normals)], dim=1)
    return 0.5 + 0.5 * local
