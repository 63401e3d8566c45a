# SPDX-License-Identifier: Apache-2.0
"""Acceptance checks that need a training (the list: docs/acceptance.md)."""

import pytest
import torch

from milo.backend.mesh import loop
from milo.backend.mesh.occupancy import occupancy_from_sdf
from milo.backend.mesh.pivots import from_pivot_order
from milo.backend.rendering.image_metrics import psnr, quantised
from milo.backend.rendering.splats import render_geometry
from milo.backend.training.loop import Training
from milo.backend.training.snapshots import held_out_psnr
from milo.cuda_ext.filter3d import filter_3d

from .test_mesh_in_training import MESH


def test_b5_reinitialisation_takes_as_many_from_each_view(ball, short_config):
    """N becomes V floor(M / V), M being the number before anything was pruned; 6 photos here."""
    training = Training(ball, short_config(**{"densify.reinit_factor": 1.5}))
    for _ in range(15):
        training.step()
    before = len(training.gaussians)
    training.step()
    assert len(training.gaussians) == 6 * (int(1.5 * before) // 6)


def test_b6_a_reset_is_what_it_says(ball, short_config, monkeypatch):
    """Right after it the occupancy is the average to 1e-6; who carries no pivots keeps a base of 0."""
    training = Training(ball, short_config(**MESH | {"mesh.max_points": 9 * 80, "mesh.delaunay_lag": 0}))
    seen = []
    fused = loop.fused_sdf
    monkeypatch.setattr(loop, "fused_sdf", lambda *args: seen.append(fused(*args)) or seen[-1])
    for _ in range(13):
        training.step()
    gaussians, chosen = training.gaussians, training.mesh.chosen.long()
    others = torch.ones(len(gaussians), dtype=torch.bool)
    others[chosen] = False
    assert others.any() and not gaussians.base_occupancy[others].any() and not gaussians.occupancy_shift[others].any()
    observed = occupancy_from_sdf(from_pivot_order(seen[0]))
    assert torch.allclose(gaussians.base_occupancy[chosen].sigmoid(), observed, atol=1e-6)

    logits = (gaussians.base_occupancy + gaussians.occupancy_shift).detach()[chosen].clone()
    training.mesh._fuse(gaussians, gaussians.splats().detach(), training.mesh.pivots(gaussians.splats().detach()), 0.4)
    observed = occupancy_from_sdf(from_pivot_order(seen[1]))
    expected = (0.4 * observed + 0.6 * logits.sigmoid()).clamp(0.005, 0.995)
    after = (gaussians.base_occupancy + gaussians.occupancy_shift).detach()[chosen].sigmoid()
    assert torch.allclose(after, expected, atol=1e-6)
    assert not gaussians.base_occupancy[others].any()


def test_the_3d_filter_is_that_of_the_cameras_in_use(ball, short_config):
    """Half-size pictures blur twice as much, until they end (rasterization.md, Q17)."""
    training = Training(ball, short_config(**{"densify.until_iter": 0, "densify.simplify1_iter": 0,
                                              "densify.simplify2_iter": 0}))   # half size up to iteration 6

    def expected(factor: float) -> torch.Tensor:
        cameras = [view.camera.scaled(factor) for view in ball.train]
        sizes = torch.tensor([camera.size for camera in cameras])
        return filter_3d(training.gaussians.means.detach(), torch.stack([camera.viewmat for camera in cameras]),
                         torch.stack([camera.K for camera in cameras]), sizes, near=training.scale.splat_near)

    assert torch.allclose(training.gaussians.filter_3d, expected(0.5), rtol=1e-4)
    assert torch.allclose(expected(0.5), 2 * expected(1.0), rtol=0.1)
    for _ in range(10):                                                        # refreshed at the end of iteration 10
        training.step()
    assert torch.allclose(training.gaussians.filter_3d, expected(1.0), rtol=1e-3)


@pytest.mark.parametrize("rasterizer", ["radegs", "gof"])
def test_figures_are_of_the_rasteriser_that_was_trained(ball, short_config, rasterizer):
    """The reference trains with one and judges by another (training.md, Q21)."""
    training = Training(ball, short_config(**{"model.rasterizer": rasterizer}))
    found = {}
    for name in ("radegs", "gof"):
        drawn = [render_geometry(training.gaussians.splats().detach(), view.camera, near=training.scale.splat_near,
                                 rasterizer=name).image for view in ball.test]
        found[name] = sum(psnr(quantised(image), view.target(torch.zeros(3)))
                          for image, view in zip(drawn, ball.test)) / len(ball.test)
    assert held_out_psnr(training) == pytest.approx(found[rasterizer], abs=1e-6)
    assert abs(found["radegs"] - found["gof"]) > 1e-3
