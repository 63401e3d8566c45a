# SPDX-License-Identifier: Apache-2.0
"""Meshes made by hand, and photos of them whose every pixel is known."""

import numpy as np
import pytest
import torch

from milo.backend.data.cameras import Camera
from milo.backend.finishing.bake import Photo
from milo.cuda_ext.triangles import interpolate, visibility


def grid_sphere(cells=12, radius=1.0, center=(0, 0, 0)):
    """verts [V, 3] float32, faces [F, 3] int32: a cube's six sides of cells x cells squares blown up to a sphere."""
    line = np.linspace(-1, 1, cells + 1)
    points, faces = [], []
    for axis in range(3):
        for side in (-1, 1):
            a, b = np.meshgrid(line, line, indexing="ij")
            face = np.empty((cells + 1, cells + 1, 3))
            face[..., axis], face[..., (axis + 1) % 3], face[..., (axis + 2) % 3] = side, a, b
            first = sum(map(len, points))
            points.append(face.reshape(-1, 3))
            corner = first + (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
            quad = np.stack([corner, corner + cells + 1, corner + cells + 2, corner + 1], 1)
            quad = quad if side > 0 else quad[:, ::-1]
            faces += [quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]]
    points = np.concatenate(points)
    _, first, same = np.unique(np.round(points, 6), axis=0, return_index=True, return_inverse=True)
    points = points[first] / np.linalg.norm(points[first], axis=1, keepdims=True)
    return ((radius * points + center).astype(np.float32),
            same.reshape(-1)[np.concatenate(faces)].astype(np.int32))


def look_at(center, target=(0, 0, 0), size=(96, 96), focal=110.0):
    """A camera at `center` that looks at `target`."""
    center, target = np.asarray(center, float), np.asarray(target, float)
    forward = (target - center) / np.linalg.norm(target - center)
    aside = np.cross(forward, [0, 0, 1.0] if abs(forward[2]) < 0.9 else [0, 1.0, 0])
    right = aside / np.linalg.norm(aside)
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    viewmat[:3, 3] = -viewmat[:3, :3] @ center
    K = torch.tensor([[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1]])
    return Camera(torch.from_numpy(viewmat).float(), K, size[1], size[0])


def around(distance=3.5):
    """Fourteen cameras around the origin: from the sides and the corners of a cube."""
    ways = [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if abs(x) + abs(y) + abs(z) in (1, 3)]
    return [look_at(distance * np.array(way) / np.linalg.norm(way)) for way in ways]


def paint(points):
    """The colour of any point in space [..., 3] -> [..., 3] in [0, 1]: smooth."""
    return 0.5 + 0.35 * np.sin(2.5 * points + np.array([0.0, 1.0, 2.0]))


def photo_of(verts, faces, camera, color_of=paint):
    """A photo of a mesh whose points show `color_of` themselves, before black; its mask is where the mesh is."""
    verts, faces = torch.from_numpy(verts), torch.from_numpy(faces)
    face_id = visibility(verts, faces, camera.viewmat, camera.K, camera.size)
    where = interpolate(verts, verts, faces, face_id, camera.viewmat, camera.K).permute(1, 2, 0).numpy()
    image = torch.from_numpy(color_of(where)).float().permute(2, 0, 1)
    return Photo(camera, torch.where(face_id >= 0, image, 0.0), face_id >= 0)


@pytest.fixture(scope="session")
def ball():
    return grid_sphere()
