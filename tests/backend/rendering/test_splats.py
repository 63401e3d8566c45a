# SPDX-License-Identifier: Apache-2.0
"""Which rasteriser draws."""

from types import SimpleNamespace

import pytest
import torch

from milo.backend.config import load_config
from milo.backend.mesh.fields import median_depths
from milo.backend.rendering.scale import scene_scale
from milo.backend.rendering.splats import Splats, render_geometry, render_view
from milo.cuda_ext.gof import rasterize_gof
from milo.cuda_ext.splats import rasterize_geometry


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
