# SPDX-License-Identifier: Apache-2.0
"""Fields at points against their formulas (spec extraction 0.1, 1.2, acceptance 5 and 6), and the search on edges."""

import pytest
import torch

from milo.backend.data.cameras import Camera
from milo.backend.data.scene import View
from milo.backend.extraction.point_fields import DepthFusionField, IntegrationField, bisected
from milo.backend.mesh.integration import UNSEEN
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats

SCALE = SceneScale(extent=50.0, splat_near=0.2, mesh_near=0.01, mesh_far=1e9, truncation=0.1)
FRONT = View(Camera(torch.eye(4), torch.tensor([[40.0, 0, 20], [0, 40, 16], [0, 0, 1]]), 40, 32), 0,
             torch.zeros(32, 40, 3, dtype=torch.uint8))


def run(steps):
    """The value that a generator of steps returns."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


def test_depth_fusion_at_a_plane():
    """f = clamp((D - z) / tau), -1 where nobody looks, and no opinion further than tau behind the surface."""
    flat = (torch.zeros(32, 40), torch.full((32, 40), 2.0), None)
    field = DepthFusionField([FRONT], {0: flat}, SCALE, carve=False)
    z = torch.tensor([0.5, 1.85, 1.95, 2.0, 2.04, 2.09, 2.11, 5.0])
    points = torch.stack([0.01 * z, 0.02 * z, z], dim=1)
    expected = torch.tensor([1, 1, 0.5, 0, -0.4, -0.9, -1, -1])
    assert torch.allclose(run(field.at(points, "field")), expected, atol=1e-4)
    beside = torch.tensor([[5.0, 0, 1.0], [0, 0, -1.0]])
    assert run(field.at(beside, "field")).tolist() == [-1, -1]


@pytest.mark.parametrize("rasterizer", ["radegs", "gof"])
def test_integration_along_the_axis_of_one_gaussian(rasterizer):
    """A grows with depth and stays at min(0.99, opacity) behind the peak; at the peak it is there already."""
    for opacity in (0.6, 0.999):
        splats = Splats(torch.tensor([[0.0, 0, 2]]), torch.full((1, 3), 0.1), torch.tensor([[1.0, 0, 0, 0]]),
                        torch.tensor([opacity]), torch.zeros(1, 3), torch.zeros(1, 0, 3), 0)
        field = IntegrationField(splats, [FRONT], SCALE._replace(rasterizer=rasterizer), iso=0.5)
        z = torch.linspace(1.6, 2.6, 21)
        points = torch.stack([0 * z, 0 * z, z], dim=1)
        gathered = 0.5 - run(field.at(points, "field"))
        assert (gathered.diff() >= -1e-6).all()
        plateau = gathered[z >= 2]
        assert torch.allclose(plateau, torch.full_like(plateau, min(0.99, opacity)), atol=2e-3)
        assert gathered[0] < 0.02 and 0.1 < gathered[z < 1.95].max() < min(0.99, opacity)


def test_integration_where_no_view_looks():
    splats = Splats(torch.tensor([[0.0, 0, 2]]), torch.full((1, 3), 0.1), torch.tensor([[1.0, 0, 0, 0]]),
                    torch.tensor([0.9]), torch.zeros(1, 3), torch.zeros(1, 0, 3), 0)
    beside = torch.tensor([[3.0, 0, 2.0]])
    for rasterizer, wanted in (("radegs", UNSEEN), ("gof", -0.5)):
        field = IntegrationField(splats, [FRONT], SCALE._replace(rasterizer=rasterizer), 0.5)
        assert run(field.at(beside, "")).tolist() == [wanted]


class Sphere:
    """The signed distance to the unit sphere, counting its evaluations."""

    calls = 0

    def at(self, points, stage):
        self.calls += 1
        yield None
        return points.norm(dim=1) - 1


@pytest.mark.parametrize("steps", [0, 1, 8])
def test_bisection_halves_the_error(steps):
    generator = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(500, 3, generator=generator), dim=1)
    inner, outer = torch.rand(2, 500, 1, generator=generator)
    ends = torch.stack([direction * inner, direction * (1 + outer)], dim=1)
    flipped = torch.rand(500, generator=generator) < 0.5
    ends[flipped] = ends[flipped].flip(1)
    field = Sphere()
    found = run(bisected(field, ends, ends.norm(dim=2) > 1, steps))
    assert field.calls == steps
    length = (ends[:, 0] - ends[:, 1]).norm(dim=1)
    assert ((found.norm(dim=1) - 1).abs() <= length / 2 ** (steps + 1) + 1e-6).all()
