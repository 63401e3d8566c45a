# SPDX-License-Identifier: Apache-2.0
"""Integrated opacity as a signed distance, on a ball whose answers are known."""

import math
from types import SimpleNamespace

import pytest
import torch

from milo.backend.mesh.integration import UNSEEN, integrated_sdf
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats

SCALES = {name: SceneScale(3.0, 0.2, 1e-3, float("inf"), 0.006, name) for name in ("radegs", "gof")}


@pytest.fixture
def ball():
    """Discs on the unit sphere."""
    count = 1500
    k = torch.arange(count) + 0.5
    z, turn = 1 - 2 * k / count, math.pi * (1 + 5**0.5) * k
    normals = torch.stack([(1 - z * z).sqrt() * torch.cos(turn), (1 - z * z).sqrt() * torch.sin(turn), z], 1)
    # The rotation that takes the third axis to the normal.
    quats = torch.nn.functional.normalize(
        torch.stack([1 + normals[:, 2], -normals[:, 1], normals[:, 0], torch.zeros(count)], 1), dim=1)
    scales = torch.tensor([0.08, 0.08, 0.004]).expand(count, 3).contiguous()
    black = torch.zeros(count, 3), torch.zeros(count, 0, 3)
    return Splats(normals, scales, quats, torch.full((count,), 0.95), *black, sh_degree=0)


def views(masked=False):
    """Six, from all sides."""
    mask = torch.zeros(100, 100, dtype=torch.uint8) if masked else None
    for axis in range(3):
        for sign in (1.0, -1.0):
            viewmat = torch.eye(4).roll(axis, dims=1)
            viewmat[3] = torch.tensor([0, 0, 0, 1.0])
            viewmat[:3, 3] = 0
            viewmat[:3, :3] = torch.eye(3).roll(axis, dims=1) * torch.tensor([[sign], [1.0], [sign]])
            viewmat[2, 3] = 3.0
            camera = SimpleNamespace(viewmat=viewmat, K=torch.tensor([[90.0, 0, 50], [0, 90, 50], [0, 0, 1]]),
                                     size=(100, 100))
            yield SimpleNamespace(camera=camera, mask=mask)


@pytest.mark.parametrize("rasterizer", ["radegs", "gof"])
def test_the_sign_says_inside_or_outside(ball, rasterizer):
    points = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    radius = 0.7 + 0.6 * torch.rand(4000, 1, generator=torch.Generator().manual_seed(1))
    points = torch.nn.functional.normalize(points, dim=1) * radius
    sdf, radius = integrated_sdf(points, ball, list(views()), SCALES[rasterizer]), radius[:, 0]
    assert (sdf[radius < 0.97] < -0.3).all()
    # For RaDe-GS a view does not count where it shows nothing: take points that some view sees before the ball.
    before = (radius > 1.05) & (points.abs().amax(1) > 0.9 * radius)
    assert before.sum() > 400 and (sdf[before] > 0.2).float().mean() > 0.99
    assert sdf.max() <= 0.5 and sdf.min() >= UNSEEN
    eased = integrated_sdf(points, ball, list(views()), SCALES[rasterizer], iso=0.3)
    torch.testing.assert_close(sdf[before] - eased[before], torch.full_like(sdf[before], 0.2))


def test_what_no_view_can_judge(ball):
    """RaDe-GS: where views show nothing, or their masks nothing. GOF judges everywhere."""
    points = torch.tensor([[0.0, 0.0, 0.5], [1.6, 1.6, 1.6]])
    assert (integrated_sdf(points, ball, list(views()), SCALES["radegs"]) == UNSEEN).tolist() == [False, True]
    masked = list(views(masked=True))
    assert (integrated_sdf(points, ball, masked, SCALES["radegs"]) == UNSEEN).all()
    assert integrated_sdf(points, ball, masked, SCALES["gof"]).sign().tolist() == [-1, 1]
