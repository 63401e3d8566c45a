# SPDX-License-Identifier: Apache-2.0
"""Mesh-based novel view synthesis on a coloured ball (spec extraction 4.4)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from milo.backend.data.cameras import Camera
from milo.backend.data.scene import View
from milo.backend.evaluation.color_field import (
    ColorField,
    MeshViews,
    contracted,
    learn_colors,
    pixel_rays,
    rendered,
    sh_basis,
)
from milo.backend.rendering.image_metrics import psnr
from milo.backend.rendering.scale import SceneScale

SCALE = SceneScale(extent=2.2, splat_near=0.1, mesh_near=0.01, mesh_far=1e9, truncation=0.01)


def ball_mesh(rings=24, radius=0.6):
    theta, phi = np.meshgrid(np.linspace(0, math.pi, rings), np.linspace(0, 2 * math.pi, 2 * rings), indexing="ij")
    verts = radius * np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    corner = (np.arange(rings - 1)[:, None] * 2 * rings + np.arange(2 * rings - 1)).reshape(-1)
    faces = np.concatenate([np.stack([corner, corner + 2 * rings, corner + 1], 1),
                            np.stack([corner + 1, corner + 2 * rings, corner + 2 * rings + 1], 1)])
    return torch.from_numpy(verts.reshape(-1, 3)).float(), torch.from_numpy(faces).int()


def views_of_a_ball(count=9):
    """Photos of a ball coloured by position, before grey, from a ring of cameras off the origin of the world."""
    views = []
    for i in range(count):
        angle = 2 * math.pi * i / count
        forward = -torch.tensor([math.cos(angle), math.sin(angle), 0.0])
        right = torch.tensor([-math.sin(angle), math.cos(angle), 0.0])
        viewmat = torch.eye(4)
        viewmat[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward])
        viewmat[2, 3] = 2
        camera = Camera(viewmat, torch.tensor([[40.0, 0, 18], [0, 40, 15], [0, 0, 1]]), 36, 30, f"{i}.png")
        rays = torch.nn.functional.normalize(pixel_rays(camera), dim=-1)
        along = -(rays @ camera.center)
        under = along.square() - camera.center.square().sum() + 0.36
        hit = camera.center + (along - under.clamp_min(0).sqrt())[..., None] * rays
        image = torch.where(under[..., None] > 0, 0.5 + 0.6 * hit, 0.4)
        views.append(View(camera, i, (image * 255).round().to(torch.uint8)))
    return views


@pytest.mark.parametrize("mode", ["corrected", "parity"])
def test_a_right_mesh_gives_right_pictures_of_held_out_views(mode):
    *train, test = views_of_a_ball()
    verts, faces = ball_mesh()
    renderer = MeshViews(verts, faces, SCALE, torch.full((3,), 0.4), mode)
    field = learn_colors(renderer, train, iterations=120, resolution=24)
    good = psnr(rendered(renderer, field, test), test.target(renderer.background))
    wrong = MeshViews(0.7 * verts, faces, SCALE, renderer.background, mode)
    bad = psnr(rendered(wrong, learn_colors(wrong, train, iterations=120, resolution=24), test),
               test.target(renderer.background))
    assert good > {"corrected": 22, "parity": 16}[mode] and good > bad


def test_background_and_empty_views():
    train = views_of_a_ball(3)
    field = ColorField(torch.zeros(3), 1.0, 8, torch.Generator().manual_seed(0))
    verts, faces = ball_mesh()
    grey = torch.full((3,), 0.4)
    image = MeshViews(verts, faces, SCALE, grey, "corrected").image(field, train[0].camera)
    assert torch.equal(image[:, 0, 0], grey) and not torch.allclose(image[:, 15, 18], grey)
    parity = MeshViews(verts, faces, SCALE, grey, "parity").image(field, train[0].camera)
    assert not torch.allclose(parity[:, 0, 0], grey)
    away = MeshViews(verts + 50, faces, SCALE, grey, "corrected")
    assert away.image(field, train[0].camera) is None
    assert torch.allclose(rendered(away, field, train[0]), torch.full((3, 30, 36), 102 / 255))


def test_parts_of_the_field():
    points = torch.tensor([[0.5, 0, 0], [3, 0, 0], [0, -1e6, 0]])
    assert torch.allclose(contracted(points), torch.tensor([[0.5, 0, 0], [2 - 1 / 3, 0, 0], [0, -2, 0]]), atol=1e-5)
    generator = torch.Generator().manual_seed(0)
    d = torch.nn.functional.normalize(torch.randn(200_000, 3, generator=generator), dim=1)
    basis = sh_basis(d)
    assert torch.allclose(4 * math.pi * basis.T @ basis / len(d), torch.eye(9), atol=0.03)     # orthonormal
    field = ColorField(torch.zeros(3), 1.0, 8, generator)
    p = field.planes.detach().double()
    rows, columns = ((p[:, :, 1:] - p[:, :, :-1]) ** 2).sum(), ((p[..., 1:] - p[..., :-1]) ** 2).sum()
    assert float(field.variation()) == pytest.approx(2 * float(rows + columns) / (16 * 7 * 8) / 3, rel=1e-5)
