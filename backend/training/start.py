# SPDX-License-Identifier: Apache-2.0
"""Where the first Gaussians stand."""

from __future__ import annotations

import torch
from torch import Tensor

from milo.backend.data.scene import Scene

RANDOM_POINTS = 10_000   # for a scene that comes without any


def starting_points(scene: Scene, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The scene's points, or grey ones where its cameras look if it has none.

    Returns:
        points [P, 3] float32 world units, colours [P, 3] in [0, 1].
    """
    if len(scene.points):
        return torch.from_numpy(scene.points).float(), torch.from_numpy(scene.colors).float() / 255
    cameras = [view.camera for view in scene.train]
    centers = torch.stack([camera.center for camera in cameras])
    axes = torch.stack([camera.viewmat[2, :3] for camera in cameras])
    focus = _nearest_to_lines(centers, axes)
    radius = 0.5 * (centers - focus).norm(dim=1).median()
    points = focus + radius * (2 * torch.rand(RANDOM_POINTS, 3, generator=generator) - 1)
    return points, torch.full_like(points, 0.5)


def _nearest_to_lines(origins: Tensor, directions: Tensor) -> Tensor:
    """The point [3] with the least sum of squared distances to lines [C, 3], [C, 3] (unit directions)."""
    projectors = torch.eye(3) - directions[:, :, None] * directions[:, None, :]      # [C, 3, 3]
    system = projectors.sum(0) + 1e-6 * len(origins) * torch.eye(3)                  # parallel lines: their mean
    return torch.linalg.solve(system, (projectors @ origins[:, :, None]).sum(0)[:, 0] + 1e-6 * origins.sum(0))
