# SPDX-License-Identifier: Apache-2.0
"""A ball of splats seen by cameras all around it."""

import math
from typing import NamedTuple

import pytest
import torch

from milo.backend.config import load_config
from milo.backend.data.cameras import Camera
from milo.backend.data.scene import View, camera_extent
from milo.backend.rendering.scale import SceneScale, scene_scale
from milo.backend.rendering.splats import Splats

RADIUS = 0.5


class Ball(NamedTuple):
    splats: Splats
    views: list[View]
    held_out: list[View]
    config: object
    scale: SceneScale


def look_at(eye: torch.Tensor) -> torch.Tensor:
    """World to camera [4, 4] of a camera at `eye` that looks at the origin."""
    forward = -eye / eye.norm()
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward])
    viewmat = torch.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, -rotation @ eye
    return viewmat


def spiral(count: int) -> torch.Tensor:
    """[count, 3] points spread over the unit sphere."""
    i = torch.arange(count) + 0.5
    z = 1 - 2 * i / count
    angle = math.pi * (1 + math.sqrt(5)) * i
    return torch.stack([(1 - z * z).sqrt() * angle.cos(), (1 - z * z).sqrt() * angle.sin(), z], dim=1)


@pytest.fixture(scope="session")
def ball() -> Ball:
    """600 round splats on a sphere; 12 training and 2 held-out views of 48 x 40 grey pixels."""
    count = 600
    splats = Splats(RADIUS * spiral(count), torch.full((count, 3), 0.03), torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
                    torch.full((count,), 0.95), torch.zeros(count, 3), torch.zeros(count, 0, 3), 0)
    views = []
    for i, eye in enumerate(2 * spiral(14)):
        camera = Camera(look_at(eye), torch.tensor([[60.0, 0, 25], [0, 60, 20], [0, 0, 1]]), 48, 40, f"{i:02}.png")
        views.append(View(camera, i, torch.full((40, 48, 3), 128, dtype=torch.uint8)))
    held_out = [views.pop(9), views.pop(4)]
    config = load_config([], ["run.threads=1"])
    return Ball(splats, views, held_out, config, scene_scale(config, camera_extent([v.camera for v in views])))
