# SPDX-License-Identifier: Apache-2.0
"""Small reconstructions made by hand: a mesh, and Gaussians on and off it."""

import math

import numpy as np
import pytest
import torch

from milo.backend.editing.binding import Source
from milo.backend.rendering.splats import Splats
from milo.protocol.surfaces import Pose, Surface

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def sphere(rings=16, sides=24):
    """verts [V, 3] and faces [F, 3] of a closed unit sphere, turned outward."""
    polar = np.pi * np.arange(1, rings) / rings
    around = 2 * np.pi * np.arange(sides) / sides
    body = np.stack([np.outer(np.sin(polar), np.cos(around)), np.outer(np.sin(polar), np.sin(around)),
                     np.repeat(np.cos(polar)[:, None], sides, 1)], 2).reshape(-1, 3)
    verts = np.concatenate([body, [[0, 0, 1], [0, 0, -1]]])
    north, south, faces = len(body), len(body) + 1, []
    for k in range(sides):
        nxt = (k + 1) % sides
        faces += [(north, k, nxt), (south, (rings - 2) * sides + nxt, (rings - 2) * sides + k)]
        for r in range(rings - 2):
            a, b, c, d = r * sides + k, r * sides + nxt, (r + 1) * sides + nxt, (r + 1) * sides + k
            faces += [(a, d, c), (a, c, b)]
    return verts.astype(np.float32), np.array(faces, np.int32)


def bar(length=4.0, width=0.6, cells=60, across=8):
    """An open tube of square section along x, from -length/2 to length/2."""
    edge = np.linspace(-width / 2, width / 2, across + 1)[:-1]
    high = np.full(across, width / 2)
    section = np.concatenate([np.stack([edge, -high], 1), np.stack([high, edge], 1), np.stack([-edge, high], 1),
                              np.stack([-high, -edge], 1)])
    along = np.linspace(-length / 2, length / 2, cells + 1)
    n = len(section)
    verts = np.concatenate([np.concatenate([np.full((n, 1), x), section], 1) for x in along])
    faces = []
    for i in range(cells):
        for k in range(n):
            a, b, c, d = i * n + k, i * n + (k + 1) % n, (i + 1) * n + (k + 1) % n, (i + 1) * n + k
            faces += [(a, b, c), (a, c, d)]
    return verts.astype(np.float32), np.array(faces, np.int32)


def normals_of(verts, faces):
    cross = np.cross(verts[faces[:, 1]] - verts[faces[:, 0]], verts[faces[:, 2]] - verts[faces[:, 0]])
    out = np.zeros_like(verts)
    for k in range(3):
        np.add.at(out, faces[:, k], cross)
    return (out / np.linalg.norm(out, axis=1, keepdims=True).clip(1e-20)).astype(np.float32)


def surface_of(verts, faces, *, rest_co=None, rest_n=None, replicate=False, src=None, part=None, parts=1):
    """A Surface at rest, and its Pose with identity matrices."""
    rest = verts if rest_co is None else rest_co
    surface = Surface(faces, np.ascontiguousarray(rest, np.float32), np.ones(len(verts), np.float32),
                      normals_of(rest, faces) if rest_n is None else rest_n,
                      np.ones(len(faces), np.int32) if src is None else src,
                      np.zeros(len(faces), np.int32) if part is None else part,
                      np.full(parts, replicate, np.uint8), np.zeros(parts, np.uint8))
    surface.check()
    return surface, pose_of(verts, parts=parts)


def pose_of(positions, matrix=None, parts=1):
    matrix = np.eye(4) if matrix is None else matrix
    return Pose(np.ascontiguousarray(positions, np.float32), np.repeat(matrix[None], parts, 0).astype(np.float32))


def scatter(verts, faces, count, seed=0, off=0.02, size=0.05, degree=3):
    """Gaussians around a surface, of all shapes, with harmonics that show how they are turned."""
    random = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(*shape, generator=random)
    share = -torch.log(uniform(count, 3).clamp_min(1e-6))
    share /= share.sum(1, keepdim=True)
    face = torch.from_numpy(faces).long()[torch.randint(len(faces), (count,), generator=random)]
    means = (share[:, :, None] * torch.from_numpy(verts)[face]).sum(1) + off * torch.randn(count, 3, generator=random)
    return Splats(means, size * torch.exp(1.5 * uniform(count, 3) - 1.5), torch.randn(count, 4, generator=random),
                  0.3 + 0.69 * uniform(count), torch.randn(count, 3, generator=random),
                  0.3 * torch.randn(count, (degree + 1) ** 2 - 1, 3, generator=random), degree)


@pytest.fixture
def ball():
    """(verts, faces, Source) of a sphere with 1500 Gaussians, some of them floating far off."""
    verts, faces = sphere()
    splats = scatter(verts, faces, 1500)
    splats.means[:50] *= 1.4
    return verts, faces, Source.of(splats, verts, faces)


def look_at(eye, target=(0.0, 0.0, 0.0)):
    """viewmat [4, 4] of a camera at `eye`."""
    eye, target = np.array(eye, float), np.array(target, float)
    z = (target - eye) / np.linalg.norm(target - eye)
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x)
    V = np.eye(4)
    V[:3, :3] = np.stack([x, np.cross(z, x), z])
    V[:3, 3] = -V[:3, :3] @ eye
    return torch.tensor(V, dtype=torch.float32)


K = torch.tensor([[180.0, 0, 96], [0, 180, 72], [0, 0, 1]])
SIZE = (144, 192)


def rotation(axis, degrees):
    axis = np.array(axis, float) / np.linalg.norm(axis)
    cross = np.cross(np.eye(3), axis)
    a = math.radians(degrees)
    return np.eye(3) + math.sin(a) * cross + (1 - math.cos(a)) * cross @ cross


def similarity(degrees=137.0, scale=1.7, move=(0.4, -0.8, 0.3)):
    """Rotate, scale and move: a [4, 4] matrix."""
    W = np.eye(4)
    W[:3, :3] = scale * rotation((1, 2, 0.5), degrees)
    W[:3, 3] = move
    return W


def covariances(splats):
    from milo.cuda_ext.reference.projection import rotation_from_quaternion

    axes = rotation_from_quaternion(splats.quats.double()) * splats.scales.double()[:, None]
    return axes @ axes.transpose(1, 2)


def psnr(a, b):
    return float(-10 * torch.log10(((a - b) ** 2).mean().clamp_min(1e-12)))


def bend(points, radius=2.0):
    """The bar around a circle in the x-z plane: where points come to lie, and the Jacobian there."""
    x, y, z = points.unbind(1)
    angle, r = x / radius, radius - z
    moved = torch.stack([r * angle.sin(), y, radius - r * angle.cos()], 1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    J = torch.stack([r / radius * angle.cos(), zero, -angle.sin(), zero, one, zero, r / radius * angle.sin(), zero,
                     angle.cos()], 1).reshape(-1, 3, 3)
    return moved, J


def to_quats(R):
    """Unit quaternions [N, 4] (w, x, y, z) of rotations [N, 3, 3]."""
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(1) for row in R.unbind(1))
    squares = torch.stack([1 + a + e + i, 1 + a - e - i, 1 - a + e - i, 1 - a - e + i], 1)     # 4 q_k^2
    products = torch.stack([
        squares[:, 0], h - f, c - g, d - b,
        h - f, squares[:, 1], d + b, c + g,
        c - g, d + b, squares[:, 2], h + f,
        d - b, c + g, h + f, squares[:, 3],
    ], 1).reshape(-1, 4, 4)  # fmt: skip
    largest = squares.argmax(1)[:, None, None].expand(-1, 1, 4)
    quats = products.gather(1, largest)[:, 0]
    return quats / quats.norm(dim=1, keepdim=True)


def placed(splats, means, J):
    """Gaussians put by hand where a map with the Jacobians J [N, 3, 3] puts them: covariances, harmonics and all."""
    from milo.cuda_ext.deformation import turn_harmonics

    lengths, frames = torch.linalg.eigh(J.double() @ covariances(splats) @ J.double().transpose(1, 2))
    frames = frames * torch.linalg.det(frames).sign()[:, None, None]
    U, _, V = torch.linalg.svd(J)
    return splats._replace(means=means, scales=lengths.clamp_min(1e-12).sqrt().float(), quats=to_quats(frames).float(),
                           sh_rest=turn_harmonics(splats.sh_rest, U @ V, splats.sh_degree))


def bar_of_gaussians():
    """(verts, faces, splats) of the bar; none beyond its ends."""
    verts, faces = bar()
    splats = scatter(verts, faces, 3000, off=0.01, size=0.03)
    inside = splats.means[:, 0].abs() < 1.9
    return verts, faces, type(splats)(*(v[inside] if isinstance(v, torch.Tensor) else v for v in splats))
