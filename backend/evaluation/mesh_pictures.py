# SPDX-License-Identifier: Apache-2.0
"""Pictures of a mesh as a camera sees it: shaded, in its vertex colours, and its normals as colours."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from milo.backend.data.cameras import Camera
from milo.cuda_ext.triangles import face_normals, interpolate, visibility

from .contact_sheet import PAGE

BACKGROUND = tuple(value / 255 for value in PAGE)   # behind meshes: they stand on the page of the contact sheet
CLAY = 0.86
SUPERSAMPLING = 2                   # rendered at this multiple of the picture's size, then averaged
KEY_LIGHT = (-0.45, -0.70, -0.55)   # towards the light, camera frame: from above, left and behind the camera


class MeshPainter:
    """One mesh seen by one camera; each picture is [H, W, 3] uint8 of the camera's size.

    Args:
        verts: [V, 3] float, world units.
        faces: [F, 3] integer.
        camera: where from.
        near: z depth up to which the mesh is clipped, world units.
        background: RGB in [0, 1] behind the mesh.
    """

    def __init__(self, verts: np.ndarray, faces: np.ndarray, camera: Camera, near: float = 0.01,
                 background: tuple[float, float, float] = BACKGROUND):
        self.verts = torch.as_tensor(np.asarray(verts, np.float32))
        self.faces = torch.as_tensor(np.asarray(faces, np.int32))
        self.camera = camera.resized(camera.width * SUPERSAMPLING, camera.height * SUPERSAMPLING)
        self.background = torch.tensor(background)[:, None, None]
        self.face_id = visibility(self.verts, self.faces, self.camera.viewmat, self.camera.K, self.camera.size, near)

    def shaded(self) -> np.ndarray:
        """Grey clay under a headlight, a key light and some ambient light."""
        return self._finish(CLAY * self._light().expand(3, -1, -1))

    def colored(self, colors: np.ndarray) -> np.ndarray:
        """Vertex colours [V, 3] uint8, unlit."""
        values = torch.as_tensor(np.asarray(colors)).float() / 255
        return self._finish(
            interpolate(values, self.verts, self.faces, self.face_id, self.camera.viewmat, self.camera.K)
        )

    def normals(self) -> np.ndarray:
        """Normals facing the camera as colours: red to the right, green up, blue towards the viewer."""
        normal = self._facing_normals * torch.tensor([1.0, -1.0, -1.0])[:, None, None]
        return self._finish(0.5 + 0.5 * normal)

    @cached_property
    def _facing_normals(self) -> Tensor:
        """[3, H, W] camera frame, turned towards the camera; 0 beside the mesh."""
        normal = face_normals(self.verts, self.faces, self.face_id, self.camera.viewmat)
        return torch.where((normal * self._rays).sum(0) > 0, -normal, normal)

    @cached_property
    def _rays(self) -> Tensor:
        """Unit directions [3, H, W] through the pixel centres, camera frame."""
        K, (height, width) = self.camera.K, self.camera.size
        x = (torch.arange(width) + 0.5 - K[0, 2]) / K[0, 0]
        y = (torch.arange(height) + 0.5 - K[1, 2]) / K[1, 1]
        rays = torch.stack([x.expand(height, width), y[:, None].expand(height, width), torch.ones(height, width)])
        return normalize(rays, dim=0)

    def _light(self) -> Tensor:
        normal = self._facing_normals
        head = -(normal * self._rays).sum(0)
        key = (normal * normalize(torch.tensor(KEY_LIGHT), dim=0)[:, None, None]).sum(0)
        return 0.14 + 0.36 * head.clamp(min=0) + 0.50 * key.clamp(min=0)

    def _finish(self, picture: Tensor) -> np.ndarray:
        """Put the background behind, and average the samples of a pixel."""
        picture = torch.where(self.face_id >= 0, picture.clamp(0, 1), self.background)
        picture = avg_pool2d(picture, SUPERSAMPLING)
        return (picture * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
