# SPDX-License-Identifier: Apache-2.0
"""Densification statistics, and the choice of Gaussians that carry pivots (spec training.md 3.3, 3.5, 5.1)."""

import dataclasses

import pytest
import torch

from milo.backend.config import MeshConfig
from milo.backend.gaussians.pivot_choice import choose_pivots
from milo.backend.gaussians.population import Statistics
from milo.backend.gaussians.scores import Scores


def test_statistics_are_means_over_the_views_that_draw():
    statistics = Statistics(3, torch.device("cpu"))
    screen = torch.tensor([[3e-4, 4e-4, 9.0], [1.0, 0.0, 0.0], [0.0, 2e-4, 0.0]])
    statistics.gather(0, screen, torch.tensor([4, 0, 1]).int(), torch.tensor([50, 99, 3]).int(), blur_area=32.0)
    statistics.gather(1, screen, torch.tensor([4, 0, 0]).int(), torch.tensor([1, 99, 3]).int(), blur_area=32.0)
    assert torch.allclose(statistics.mean_gradient(), torch.tensor([5e-4, 0.0, 2e-4]))
    assert statistics.blurred.tolist() == [True, False, False]   # 1 was never drawn


def test_gradients_are_weighted_in_views_with_culled_gaussians_only():
    statistics = Statistics(2, torch.device("cpu"))
    statistics.set_masks(torch.tensor([[False, True], [False, False]]), torch.tensor([0.5, 0.25]))
    screen = torch.tensor([[4e-4, 0.0, 0.0], [4e-4, 0.0, 0.0]])
    for view in (0, 1):
        statistics.gather(view, screen, torch.ones(2).int(), torch.zeros(2).int(), 1.0)
    assert torch.allclose(statistics.gradient, torch.tensor([2e-4 + 4e-4, 1e-4 + 4e-4]))
    assert statistics.cull(0).tolist() == [False, True]


def test_statistics_follow_the_rows_and_appending_forgets():
    statistics = Statistics(3, torch.device("cpu"))
    statistics.gradient = torch.tensor([1.0, 2.0, 3.0])
    statistics.set_masks(torch.tensor([[True, False, False]]), torch.tensor([0.1, 0.2, 0.3]))
    statistics.remap(torch.tensor([2, 0]), appended=0)
    assert statistics.gradient.tolist() == [3.0, 1.0] and statistics.culled.tolist() == [[False, True]]
    statistics.remap(torch.tensor([0, 1, 1]), appended=1)
    assert not statistics.gradient.any()
    assert statistics.culled.tolist() == [[False, True, True]]   # children take their parent's row
    assert torch.allclose(statistics.factor, torch.tensor([0.3, 0.1, 0.1]))


@pytest.fixture
def scored(random_population):
    """20 Gaussians, of which the first ten dominate pixels and the first two of those matter in one view only."""
    splats = random_population(20).gaussians.splats().detach()
    seen = torch.full((20,), 5, dtype=torch.int32)
    seen[:2] = 1
    dominance = (torch.arange(20) < 10).long()
    weight = torch.ones(20)
    return splats, Scores(weight, weight, dominance, seen, torch.zeros(1, 20, dtype=torch.bool), weight)


def test_pivots_sit_where_the_surface_is(scored):
    config = MeshConfig(max_points=9 * 15)
    chosen = choose_pivots(*scored, config, 1, torch.Generator().manual_seed(0))
    assert chosen.rows.tolist() == list(range(2, 10)) and chosen.on_surface is None
    filled = choose_pivots(*scored, dataclasses.replace(config, sampling="surface+opacity"), 1, torch.Generator())
    assert len(filled.rows) == 15 and filled.rows.diff().min() > 0
    assert filled.rows[filled.on_surface].tolist() == list(range(2, 10))


def test_random_pivots(scored):
    config = MeshConfig(max_points=9 * 7, sampling="random")
    chosen = choose_pivots(*scored, config, 1, torch.Generator().manual_seed(0))
    assert len(chosen.rows) == 7 and chosen.rows.diff().min() > 0


@pytest.mark.parametrize("sampling", ["surface", "surface+opacity", "random"])
def test_only_candidates_carry_pivots(scored, sampling):
    config = MeshConfig(max_points=9 * 5, sampling=sampling)
    candidates = torch.arange(20) % 2 == 0
    chosen = choose_pivots(*scored, config, 1, torch.Generator().manual_seed(0), candidates)
    assert len(chosen.rows) > 3 and (chosen.rows % 2 == 0).all()
