# SPDX-License-Identifier: Apache-2.0
"""The points of a surface that the texels of its texture stand for, and pictures made of their values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from milo.cuda_ext.triangles import interpolate, visibility

from .unwrap import Charted


class Texels(NamedTuple):
    """Texels whose centre lies in a chart: T of size x size."""

    size: int
    index: Tensor      # [T] int64, row * size + column
    face: Tensor       # [T] int64
    points: Tensor     # [T, 3] float32, world units
    normals: Tensor    # [T, 3] float32 unit, smooth
    tangents: Tensor   # [T, 4] float32, as interpolated, not unit; the last is the hand, 1 or -1


def texels_of(mesh: Charted, size: int, device: str | torch.device = "cpu") -> Texels:
    """The texels of a square texture of side `size`: what a camera of one pixel a texel sees of its charts."""
    uvs = torch.from_numpy(mesh.uvs).to(device)
    flat = torch.cat([uvs * size, torch.ones_like(uvs[:, :1])], dim=1)
    faces = torch.from_numpy(mesh.faces).to(device)
    camera = torch.eye(4, device=device), torch.eye(3, device=device)
    face_id = visibility(flat, faces, *camera, (size, size))
    attributes = torch.from_numpy(np.concatenate([mesh.verts, mesh.normals, mesh.tangents], axis=1)).to(device)
    index = (face_id.flatten() >= 0).nonzero()[:, 0]
    values = interpolate(attributes, flat, faces, face_id, *camera).flatten(1)[:, index].T
    points, normals, tangents = values.split((3, 3, 4), dim=1)
    tangents = torch.cat([tangents[:, :3], torch.where(tangents[:, 3:] < 0, -1.0, 1.0)], dim=1)
    return Texels(size, index, face_id.flatten()[index].long(), points.contiguous(),
                  torch.nn.functional.normalize(normals, dim=1), tangents)


def picture(texels: Texels, values: Tensor) -> np.ndarray:
    """[size, size, C] uint8 of values [T, C] in [0, 1]; every texel between charts is like the nearest one in a chart,
    so that no filter and no smaller copy of the texture brings a foreign colour into a chart."""
    size, index = texels.size, texels.index.cpu().numpy()
    image = np.zeros((size * size, values.shape[1]), np.uint8)
    image[index] = (values.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    empty = np.ones(size * size, bool)
    empty[index] = False
    rows, columns = distance_transform_edt(empty.reshape(size, size), return_distances=False, return_indices=True)
    return image.reshape(size, size, -1)[rows, columns]
