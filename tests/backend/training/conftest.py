# SPDX-License-Identifier: Apache-2.0
"""A ball seen by a ring of small cameras: photos by ray casting, points on its surface."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from milo.backend.config import load_config
from milo.backend.data.cameras import Camera
from milo.backend.data.scene import Scene, View

RADIUS = 0.5


def look_at(eye: torch.Tensor) -> torch.Tensor:
    """World to camera [4, 4] of a camera at `eye` that looks at the origin, z up."""
    forward = -eye / eye.norm()
    right = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0]))
    right = right / right.norm()
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward])
    viewmat = torch.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, -rotation @ eye
    return viewmat


def photo(camera: Camera) -> torch.Tensor:
    """[H, W, 3] uint8: the ball, coloured by its normal, before black."""
    rows, cols = torch.meshgrid(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij")
    rays = torch.stack([(cols - camera.K[0, 2]) / camera.K[0, 0], (rows - camera.K[1, 2]) / camera.K[1, 1],
                        torch.ones_like(rows)], -1)
    rays = rays / rays.norm(dim=-1, keepdim=True) @ camera.viewmat[:3, :3]
    along = rays @ camera.center
    under = along.square() - camera.center.square().sum() + RADIUS**2
    hit = camera.center + (-along - under.clamp_min(0).sqrt())[..., None] * rays
    return torch.where(under[..., None] > 0, (0.5 + 0.5 * hit / RADIUS) * 255, 0).round().to(torch.uint8)


@pytest.fixture(scope="session")
def ball() -> Scene:
    views = []
    for i in range(8):
        angle = 2 * math.pi * i / 8
        eye = torch.tensor([2 * math.cos(angle), 2 * math.sin(angle), 0.8 * (-1) ** i])
        K = torch.tensor([[40.0, 0, 14], [0, 40, 12], [0, 0, 1]])
        camera = Camera(look_at(eye), K, 28, 24, f"{i}.png")
        views.append(View(camera, i if i < 6 else i - 6, photo(camera)))
    points = np.random.default_rng(0).normal(size=(150, 3))
    points *= RADIUS / np.linalg.norm(points, axis=1, keepdims=True)
    colors = np.round((0.5 + 0.5 * points / RADIUS) * 255).astype(np.uint8)
    return Scene("ball", Path("ball"), views[:6], views[6:], points, colors)


@pytest.fixture
def short_config():
    """A run of 40 iterations without a mesh, with every event of the splat phase."""
    def make(**overrides):
        settings = {
            "model.sh_degree": 1, "model.max_gaussians": 400,
            "schedule.iterations": 40, "schedule.depth_normal_from": 24,
            "schedule.half_resolution_until": 6, "schedule.sh_steps": [28], "schedule.filter_interval": 10,
            "densify.from_iter": 4, "densify.interval": 4, "densify.until_iter": 24, "densify.clone_from": 6,
            "densify.clone_interval": 6, "densify.reinit_iter": 16, "densify.simplify1_iter": 24,
            "densify.simplify2_iter": 32, "mesh.start_iter": 1000, "run.threads": 1, "run.checkpoint_interval": 0,
            "run.provisional_at": [], "run.evaluate_at": [], "extract.refine_iters": 0}
        return load_config([], settings | overrides)

    return make
