# SPDX-License-Identifier: Apache-2.0
"""The depth-order loss against known depths, its weights, and a training that obeys it (spec training.md 4.3)."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from milo.backend.config import ConfigError, load_config
from milo.backend.data.errors import SceneError
from milo.backend.rendering.splats import render_geometry
from milo.backend.training.depth_order import DepthOrder, order_loss, partners, weight_at
from milo.backend.training.loop import Training


@pytest.mark.parametrize(("presets", "weights"), [
    ([], {1: 0, 18_000: 0}),
    (["depth_order"], {599: 0, 600: 1, 1499: 1, 1500: 0.1, 3000: 0.01, 8000: 0.001, 13_000: 0.0001, 18_000: 0.0001}),
    (["depth_order_strong"], {1: 1, 2999: 1, 3000: 0.1, 8000: 0.01, 13_000: 0.001, 15_000: 0.0001}),
    (["regular", "depth_order"], {299: 0, 300: 1, 7000: 0.1, 15_000: 0.01, 20_000: 0.001, 25_000: 0.0001}),
])
def test_weights_of_the_spec(presets, weights):
    config = load_config(presets).loss
    assert {k: weight_at(config, k) for k in weights} == weights


def test_weights_and_changes_must_fit():
    with pytest.raises(ConfigError, match="2 weights for 5 changes"):
        load_config([], {"loss.depth_order_weights": [0, 1]})


def test_a_pair_costs_by_how_wrong_it_is():
    depth = torch.tensor([[1.0, 3.0]], requires_grad=True)
    known, partner = torch.ones(1, 2, dtype=torch.bool), torch.tensor([[1, 0]])
    right, wrong, tie = torch.tensor([[1.0, 9.0]]), torch.tensor([[9.0, 1.0]]), torch.tensor([[4.0, 4.0]])
    unknown = torch.tensor([[math.nan, 1.0]])
    assert [float(order_loss(depth, prior, known, partner, 4.0).detach()) for prior in (right, tie, unknown)] == [0] * 3
    loss = order_loss(depth, wrong, known, partner, 4.0)
    assert float(loss.detach()) == pytest.approx(math.log(1 + 20 * 2 / 4))
    loss.backward()
    assert depth.grad[0, 0] < 0 < depth.grad[0, 1]      # descent moves the first back, the second to the front
    assert order_loss(depth, wrong, torch.tensor([[True, False]]), partner, 4.0) == 0


def test_partners_are_near_and_depend_on_the_iteration_alone():
    first, again, other = (partners((40, 60), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    rows, columns = first // 60, first % 60
    away = torch.stack([rows - torch.arange(40)[:, None], columns - torch.arange(60)])
    assert int(away.max()) == 3 and int(away.min()) == -3


def test_priors_of_another_size_are_resized():
    ramp = torch.linspace(1, 2, 40)[:, None].expand(40, 60)
    maps = SimpleNamespace(expected_depth=ramp, median_depth=ramp, alpha=torch.ones(40, 60))
    order = DepthOrder([torch.linspace(5, 9, 20)[:, None].expand(20, 30), torch.linspace(9, 5, 20)[:, None].expand(
        20, 30)], 1.0, seed=0)
    assert order(maps, 0, k=7) == 0 and order(maps, 1, k=7) > 0.1
    assert order(maps, 1, k=7) != order(maps, 1, k=8)


STILL = {"densify.until_iter": 0, "densify.simplify1_iter": 0, "densify.simplify2_iter": 0,
         "schedule.iterations": 30, "schedule.half_resolution_until": 3, "schedule.filter_interval": 100,
         "loss.depth_order": True, "loss.depth_order_at": [2], "loss.depth_order_weights": [0.0, 50.0],
         "optim": {"position_lr_init": 5e-3}}


@pytest.mark.parametrize("geometry_from", [1, 1000])
def test_training_obeys_the_priors(ball, short_config, tmp_path, geometry_from):
    """Told that the ball is hollow (its middle farther than its rim), the Gaussians begin to believe it."""
    scene = dataclasses.replace(ball, path=tmp_path)
    (tmp_path / "depths").mkdir()
    for view in scene.train:
        rows, columns = np.mgrid[:view.camera.height, :view.camera.width]
        hollow = np.hypot(rows + 0.5 - 12, columns + 0.5 - 14)      # "inverse": larger is nearer
        np.save(tmp_path / "depths" / f"{view.camera.name}.npy", hollow)
    wrong = []
    for weights in ([0.0, 0.0], [0.0, 50.0]):
        training = Training(scene, short_config(**STILL | {"loss.depth_order_weights": weights},
                                                **{"schedule.depth_normal_from": geometry_from}))
        terms = [training.step().terms for _ in range(30)]
        assert ["depth_order" in term for term in terms] == [False] + [weights[1] > 0] * 29
        splats = training.gaussians.splats().detach()
        wrong.append(np.mean([float(training.depth_order(render_geometry(splats, view.camera), view.uid, 99))
                              for view in scene.train]))
    assert wrong[1] < 0.8 * wrong[0]


def test_a_scene_without_priors_is_refused_at_the_door(ball, short_config, tmp_path):
    with pytest.raises(SceneError, match=r"data\.depth_model"):
        Training(dataclasses.replace(ball, path=tmp_path), short_config(**STILL))
