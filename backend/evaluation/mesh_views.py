# SPDX-License-Identifier: Apache-2.0
"""What cameras see of a finished mesh: its picture in vertex colours, and which of its faces any of them sees."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from milo.backend.data.cameras import Camera
from milo.backend.rendering.frustum import pixels_of
from milo.cuda_ext.triangles import antialias, face_depth, interpolate, visibility

FINER = 2     # faces are looked for at so many times the cameras' resolution
SLACK = 0.5   # footprints of a fine pixel that a face may lie behind the depth drawn there and still belong to it


class MeshView(NamedTuple):
    """A mesh seen by a camera."""

    image: Tensor     # [3, H, W] in [0, 1], silhouettes antialiased
    covered: Tensor   # [H, W] bool, pixels that show the mesh


@torch.no_grad()
def draw_colored(verts: Tensor, faces: Tensor, colors: Tensor, camera, background: Tensor, *,
                 near: float = 0.01) -> MeshView:
    """A mesh in its vertex colours, unlit, one sample a pixel (as in spec extraction_evaluation_editing.md, 4.4, with
    the vertices' colours in place of a learned field).

    Args:
        verts: [V, 3] float32, world units.
        faces: [F, 3] int32.
        colors: [V, 3] float32 in [0, 1].
        camera: anything with viewmat [4, 4], K [3, 3] and size (height, width), on the mesh's device.
        background: [3] where no face is.
        near: z depth up to which the mesh is clipped, world units.
    """
    face_id = visibility(verts, faces, camera.viewmat, camera.K, camera.size, near=near)
    covered = face_id >= 0
    image = interpolate(colors, verts, faces, face_id, camera.viewmat, camera.K)
    image = torch.where(covered, image, background[:, None, None])
    return MeshView(antialias(image, verts, faces, face_id, camera.viewmat, camera.K).clamp(0, 1), covered)


@torch.no_grad()
def seen_faces(verts: Tensor, faces: Tensor, cameras: Iterable[Camera], *, near: float = 0.01) -> Tensor:
    """Which faces at least one camera sees: [F] bool.

    A face is seen if it is the nearest at the centre of a pixel. Faces smaller than a pixel may miss all centres; so
    one whose own centre lies in the image, at the depth drawn there or in front of it, is seen too.

    Args:
        verts, faces, near: as in `draw_colored`.
        cameras: of the photos.
    """
    centers = verts[faces.long()].mean(dim=1)
    seen = torch.zeros(len(faces) + 1, dtype=torch.bool, device=faces.device)   # the last is no face's
    for camera in cameras:
        camera = camera.scaled(FINER)
        face_id = visibility(verts, faces, camera.viewmat, camera.K, camera.size, near=near)
        depth = face_depth(verts, faces, face_id, camera.viewmat, camera.K)
        seen[face_id.flatten().long()] = True     # -1 is the last
        seen[:-1] |= _in_front(centers, depth, camera, near)
    return seen[:-1]


def _in_front(points: Tensor, depth: Tensor, camera, near: float) -> Tensor:
    """Which points [P, 3] lie in the image and not behind its depth [H, W]: [P] bool. A depth of 0 hides nothing."""
    inside, row, column, z = pixels_of(points, camera, near)
    drawn = depth[row, column]
    return inside & ((drawn == 0) | (z <= drawn * (1 + SLACK / camera.K[0, 0])))
