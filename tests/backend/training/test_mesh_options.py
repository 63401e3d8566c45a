# SPDX-License-Identifier: Apache-2.0
"""Options of the mesh in the loop, each against a training without it (spec training.md 5.1, 5.7, 5.10)."""

import pytest
import torch

from milo.backend.gaussians.model import Gaussians
from milo.backend.mesh.occupancy import occupancy_from_sdf
from milo.backend.mesh.pivots import Pivots, from_pivot_order, gaussian_pivots
from milo.backend.mesh.surface import triangulate
from milo.backend.rendering.scale import scene_scale
from milo.backend.training.errors import TrainingError
from milo.backend.training.loop import Training
from milo.backend.training.sdf_source import occupancy_source, sigmas

from .conftest import RADIUS
from .test_mesh_in_training import MESH

NINE = 9 * 100   # pivots of a hundred Gaussians


def trained(ball, config, steps) -> Training:
    training = Training(ball, config)
    for _ in range(steps):
        training.step()
    return training


@pytest.mark.parametrize(("redraw", "alike"), [(False, True), (True, False)])
def test_pivots_are_chosen_once_or_at_each_triangulation(ball, short_config, redraw, alike):
    config = short_config(**MESH | {"mesh.max_points": NINE, "mesh.redraw": redraw, "mesh.sdf_stop_iter": 14,
                                     "mesh.delaunay_lag": 3})
    training = trained(ball, config, 13)
    first = training.mesh.chosen.clone()
    for k in range(14, 36):
        step = training.step()
        chosen, gaussians = training.mesh.chosen.long(), training.gaussians
        assert gaussians.base_occupancy[chosen].any(1).all()     # nobody carries pivots without a field
        assert len(training.mesh.labels) == 9 * len(chosen) and step.vertices > 20
        assert torch.equal(chosen, first.long()) == (alike or k < 14), k


def test_a_new_choice_leaves_what_was_learned(ball, short_config):
    """After the last fusion only Gaussians that never carried pivots take the observed field."""
    config = short_config(**MESH | {"mesh.max_points": NINE, "mesh.redraw": True, "mesh.sdf_stop_iter": 14,
                                     "mesh.delaunay_lag": 0, "optim.occupancy_lr": 0.0})
    training = trained(ball, config, 13)
    gaussians = training.gaussians
    known = gaussians.base_occupancy.any(1)
    before = (gaussians.base_occupancy + gaussians.occupancy_shift).detach().clone()
    training.step()
    after = (gaussians.base_occupancy + gaussians.occupancy_shift).detach()
    assert torch.allclose(after[known], before[known], atol=1e-4)
    assert int(gaussians.base_occupancy.any(1).sum()) > int(known.sum())


@pytest.mark.parametrize("limit", [0, NINE])
def test_the_foreground_is_an_extent_around_the_cameras(ball, short_config, limit):
    config = short_config(**MESH | {"mesh.foreground": True, "mesh.max_points": limit})
    training = trained(ball, config, 12)
    with torch.no_grad():
        training.gaussians.means[:40] += 100 * training.gaussians.means[:40]
    training.step()
    chosen = training.mesh.chosen.long()
    assert not torch.isin(torch.arange(40), chosen).any()
    distance = (training.gaussians.means.detach()[chosen]
                - torch.stack([view.camera.center for view in ball.train]).mean(0)).norm(dim=1)
    assert distance.max() < 1.01 * ball.extent
    assert len(chosen) == (len(training.gaussians) - 40 if not limit else len(chosen)) and len(chosen) > 50


def test_an_empty_foreground_is_said(ball, short_config):
    training = trained(ball, short_config(**MESH | {"mesh.foreground": True}), 12)
    with torch.no_grad():
        training.gaussians.means += torch.tensor([0.0, 0.0, 3 * ball.extent])
    with pytest.raises(TrainingError, match=r"mesh\.foreground=false"):
        training.step()


def observed(ball, config, device):
    """Pivots of an opaque shell of Gaussians, and what the configured source says of them."""
    directions = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    shell = Gaussians.from_points(RADIUS * directions, torch.ones(500, 3), opacity=0.95)
    shell.replace({"log_scales": torch.full((500, 3), 0.05).log()})
    splats = shell.splats().detach().to(device)
    pivots = gaussian_pivots(splats.means, splats.scales, splats.quats)
    observe = occupancy_source(config, ball.to(device).train, scene_scale(config, ball.extent))
    return pivots, observe(splats, pivots, triangulate(pivots.points))


def test_the_default_source_needs_no_search(ball, short_config):
    config = short_config(**MESH)
    assert occupancy_source(config, ball.train, scene_scale(config, ball.extent)) is None


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("overrides", [
    {"mesh.sdf_source": "integration"}, {"mesh.sdf_source": "integration", "mesh.sdf_linear": True},
    {"mesh.sdf_binary_steps": 3}, {"mesh.sdf_source": "integration", "mesh.sdf_binary_steps": 2}])
def test_other_sources_know_the_inside_of_the_ball(ball, short_config, overrides, device):
    """5.7: the middle is occupied and the corners of the room are not; nothing is shrunk by a sentinel (Q14)."""
    pivots, occupancy = observed(ball, short_config(**MESH, **overrides), device)
    pivots, occupancy = Pivots(*(part.cpu() for part in pivots)), occupancy.cpu()
    assert occupancy.shape == (len(pivots.points) // 9, 9)
    assert occupancy.min() > 0.0049 and occupancy.max() < 0.9951
    radius = pivots.points.norm(dim=1)
    eyes = torch.nn.functional.normalize(torch.stack([view.camera.center for view in ball.train]), dim=1)
    before_a_camera = (pivots.points @ eyes.T).amax(1) > 0.95 * radius
    within, without = (from_pivot_order(part) for part in (radius < 0.4, (radius > 0.65) & before_a_camera))
    assert within.sum() > 100 and without.sum() > 50
    assert (occupancy[within] > 0.5).float().mean() > 0.85 and (occupancy[without] < 0.5).float().mean() > 0.85
    assert occupancy.std() > 0.1


def test_opacities_as_standard_deviations():
    """5.7: sqrt(-2 ln a), so the surface at one half lies 1.177 standard deviations from the centre."""
    assert torch.allclose(sigmas(torch.tensor([1.0, 0.5, 0.1353353])), torch.tensor([0.0, 1.1774100, 2.0]), atol=1e-5)
    assert sigmas(torch.zeros(1)).isfinite()


@pytest.mark.parametrize("setting", [{"mesh.sdf_source": "integration"}, {"mesh.sdf_binary_steps": 2}])
def test_a_run_with_another_source_has_a_mesh(ball, short_config, setting):
    config = short_config(**MESH, **setting)
    training, plain = trained(ball, config, 14), trained(ball, short_config(**MESH), 14)
    assert training.step().vertices > 20
    assert not torch.allclose(training.gaussians.base_occupancy, plain.gaussians.base_occupancy)
    assert training.gaussians.base_occupancy.abs().max() <= float(
        torch.logit(occupancy_from_sdf(torch.tensor(-1.0)))) + 1e-3
