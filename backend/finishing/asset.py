# SPDX-License-Identifier: Apache-2.0
"""A finished mesh with its textures, and how it looks."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from milo.cuda_ext.triangles import interpolate, visibility

from .unwrap import Charted

SAMPLES = 2   # across a pixel and down


class Asset(NamedTuple):
    """A textured mesh.

    Attributes:
        name: of the object, and of its files.
        mesh: Z up.
        color: [S, S, 3] uint8 sRGB; normal: [S, S, 3] uint8, tangent space, or None.
    """

    name: str
    mesh: Charted
    color: np.ndarray
    normal: np.ndarray | None


def png(picture: np.ndarray) -> bytes:
    """A picture [H, W, 3] uint8 as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=6)
    return file.getvalue()


@torch.no_grad()
def draw_textured(mesh: Charted, color: np.ndarray, camera, background: Tensor, *, near: float = 0.01) -> Tensor:
    """A mesh in its texture, unlit: [3, H, W] in [0, 1].

    Args:
        mesh: in the camera's world.
        color: [S, S, 3] uint8.
        camera: anything with viewmat, K and scaled(factor).
        background: [3] where no face is.
        near: z depth up to which the mesh is clipped, world units.
    """
    device = background.device
    verts, faces, uvs = (torch.from_numpy(array).to(device) for array in (mesh.verts, mesh.faces, mesh.uvs))
    texture = torch.from_numpy(color).to(device).permute(2, 0, 1)[None].float() / 255
    fine = camera.scaled(SAMPLES)
    face_id = visibility(verts, faces, fine.viewmat, fine.K, fine.size, near=near)
    at = interpolate(uvs, verts, faces, face_id, fine.viewmat, fine.K).permute(1, 2, 0)[None] * 2 - 1
    image = grid_sample(texture, at, padding_mode="border", align_corners=False)[0]
    image = torch.where(face_id >= 0, image, background[:, None, None])
    return avg_pool2d(image, SAMPLES)
