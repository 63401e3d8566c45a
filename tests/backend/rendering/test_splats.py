# SPDX-License-Identifier: Apache-2.0
"""Which rasteriser draws, and how wide Gaussians are."""

from types import SimpleNamespace

import pytest
import torch

from milo.backend.config import load_config
from milo.backend.mesh.fields import median_depths
from milo.backend.rendering.scale import scene_scale
from milo.backend.rendering.splats import Splats, low_passed, render_geometry, render_view
from milo.cuda_ext.gof import rasterize_gof
from milo.cuda_ext.splats import rasterize_geometry, rasterize_train


@pytest.mark.parametrize(("name", "rasterise"), [("radegs", rasterize_geometry), ("gof", rasterize_gof)])
def test_the_configuration_chooses_the_rasteriser(name, rasterise):
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(50, 3, generator=generator) * 0.5 + torch.tensor([0, 0, 3.0])
    splats = Splats(means, 0.05 + 0.2 * torch.rand(50, 3, generator=generator), torch.randn(50, 4, generator=generator),
                    torch.full((50,), 0.7), torch.randn(50, 3, generator=generator), torch.zeros(50, 0, 3), 0)
    camera = SimpleNamespace(viewmat=torch.eye(4), K=torch.tensor([[40.0, 0, 20], [0, 40, 15], [0, 0, 1]]),
                             size=(30, 40))
    scale = scene_scale(load_config([], {"model.rasterizer": name}), 1.0)
    wanted = rasterise(*splats[:6], camera.viewmat, camera.K, camera.size, near=scale.splat_near)
    drawn = render_geometry(splats, camera, near=scale.splat_near, rasterizer=scale.rasterizer)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(drawn, wanted))
    picture = render_view(splats, camera.viewmat, camera.K, camera.size, near=scale.splat_near, rasterizer=name)
    torch.testing.assert_close(picture.depth, wanted.median_depth)
    (depth,) = median_depths(splats, [SimpleNamespace(camera=camera)], scale)
    assert torch.equal(depth, wanted.median_depth)
    assert torch.equal(drawn.expected_depth, drawn.median_depth) == (name == "gof")


@pytest.mark.parametrize("rasterizer", ["radegs", "gof"])
def test_splats_of_3dgs_look_as_3dgs_draws_them(rasterizer):
    """Wires and dots far below a pixel, all over a wide picture: the low-pass of pictures is all that shows of them."""
    generator = torch.Generator().manual_seed(0)
    count = 300
    depth = 2 + 3 * torch.rand(count, 1, generator=generator)
    means = torch.cat([(torch.rand(count, 2, generator=generator) - 0.5) * torch.tensor([1.3, 1.0]) * depth, depth], 1)
    scales = torch.tensor([[0.08, 0.001, 0.001], [0.002, 0.002, 0.002], [0.05, 0.05, 0.001]]).repeat(100, 1)
    splats = Splats(means, scales, torch.randn(count, 4, generator=generator), torch.full((count,), 0.8),
                    torch.randn(count, 3, generator=generator), torch.zeros(count, 0, 3), 0)
    camera = SimpleNamespace(viewmat=torch.eye(4), K=torch.tensor([[90.0, 0, 60], [0, 90, 45], [0, 0, 1]]),
                             size=(90, 120))
    wanted = rasterize_train(*splats[:6], camera.viewmat, camera.K, camera.size).image      # 0.3 pixels^2, exactly
    errors = {low_pass: float((render_geometry(splats, camera, rasterizer=rasterizer, low_pass=low_pass).image
                               - wanted).square().mean()) for low_pass in (0.0, 0.3)}
    assert errors[0.3] < 1e-4 < 3e-3 < errors[0.0]
    aside = SimpleNamespace(viewmat=2 * torch.eye(4), K=camera.K, size=camera.size)         # the object twice as large
    aside.viewmat[3, 3] = 1
    torch.testing.assert_close(
        render_view(splats, aside.viewmat, camera.K, camera.size, rasterizer=rasterizer, low_pass=0.3).image,
        render_geometry(splats, camera, rasterizer=rasterizer, low_pass=0.3).image.clamp(0, 1))
    behind = low_passed(splats._replace(means=-means), camera, 0.3)
    assert torch.isfinite(behind.scales).all()
