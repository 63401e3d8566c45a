# SPDX-License-Identifier: Apache-2.0
"""Copying, splitting, cloning and simplifying, on sets whose outcome is known (spec training.md 3.4 to 3.7)."""

import dataclasses
import math

import pytest
import torch

from milo.backend.config import DensifyConfig
from milo.backend.gaussians.densify import (
    as_many_of,
    clone_parameters,
    clone_pass,
    densify_and_prune,
    reset_opacities,
    rotate,
    simplify,
)
from milo.backend.gaussians.scores import Scores

CONFIG = DensifyConfig()


def scores(weight, dominance=None, seen=None) -> Scores:
    weight = torch.tensor(weight)
    count = len(weight)
    return Scores(weight, weight.clone(), torch.ones(count, dtype=torch.int64) if dominance is None else dominance,
                  torch.full((count,), 9, dtype=torch.int32) if seen is None else seen,
                  torch.zeros(2, count, dtype=torch.bool), torch.ones(count))


@pytest.mark.parametrize(("opacity", "halved", "factor"), [
    (0.1, 0.0513167, 0.9923460), (0.5, 0.2928932, 0.9521520), (0.9, 0.6837722, 0.8679379), (0.99, 0.9, 0.8066859)])
def test_clone_of_the_spec(opacity, halved, factor):
    """Appendix A.4."""
    new_opacity, new_scale = clone_parameters(torch.tensor([opacity]), torch.ones(1, 3))
    assert float(new_opacity) == pytest.approx(halved, abs=2e-6)
    assert torch.allclose(new_scale, torch.tensor(factor), atol=2e-6)


def test_densify_copies_small_splits_large_and_drops_transparent(random_population):
    population = random_population(5)
    gaussians, statistics = population.gaussians, population.statistics
    scales = torch.tensor([0.005, 0.005, 0.5, 0.5, 0.5])[:, None].repeat(1, 3)
    opacities = torch.tensor([0.1, 0.1, 0.1, 0.1, 0.004])
    gaussians.replace({"log_scales": scales.log(), "opacity_logits": torch.logit(opacities)})
    statistics.gradient = torch.tensor([4e-4, 1e-4, 4e-4, 0.0, 0.0])
    statistics.drawn = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0])
    statistics.blurred[3] = True
    means = gaussians.means.detach().clone()
    densify_and_prune(population, CONFIG, extent=1.0, generator=torch.Generator().manual_seed(0))
    # 0 pulls and is small: itself and a copy; 1 stays; 2 and 3 (blurred) become two children each; 4 is too faint
    assert len(population) == 2 + 1 + 4
    new = population.gaussians.means.detach()
    assert sum(torch.equal(row, means[0]) for row in new) == 2
    assert not any(torch.equal(row, means[i]) for row in new for i in (2, 3, 4))
    assert torch.allclose(population.gaussians.scales()[-4:], torch.tensor(0.5 / 1.6))
    assert torch.allclose(population.gaussians.opacities()[-4:], torch.tensor(0.1))
    assert not population.statistics.drawn.any() and not population.statistics.blurred.any()


def test_split_children_are_spread_like_their_parent(random_population):
    count = 2000
    population = random_population(4)
    population.select(torch.zeros(count, dtype=torch.int64))
    scales = torch.tensor([[0.1, 0.3, 0.9]]).repeat(count, 1)
    population.gaussians.replace({"log_scales": scales.log()})
    population.statistics.blurred[:] = True
    center, quat = population.gaussians.means[:1].detach().clone(), population.gaussians.quats[:1].detach().clone()
    densify_and_prune(population, CONFIG, extent=1.0, generator=torch.Generator().manual_seed(0))
    offset = population.gaussians.means.detach() - center
    inverse = quat * torch.tensor([1.0, -1, -1, -1])
    spread = rotate(inverse.expand(len(offset), 4), offset).std(0)
    assert torch.allclose(spread, scales[0], rtol=0.06)


def test_nothing_grows_above_the_budget(random_population):
    population = random_population(10)
    population.statistics.gradient[:] = 1
    population.statistics.drawn[:] = 1
    densify_and_prune(population, CONFIG, 1.0, torch.Generator(), max_gaussians=10)
    assert len(population) == 10


def test_clone_pass_doubles_what_dominates_and_drops_the_rest(random_population):
    population = random_population(7)
    population.gaussians.replace({"opacity_logits": torch.zeros(7)})
    scales, means = population.gaussians.scales(), population.gaussians.means.detach().clone()
    seen = torch.tensor([9, 9, 1, 9, 9, 9, 9], dtype=torch.int32)
    result = scores([5.0, 4.0, 3.0, 1e-9, 2.0, 0.02, 0.2], torch.tensor([3, 0, 3, 3, 1, 1, 1]), seen)
    clone_pass(population, result, CONFIG, views=50)
    # 0.999 of the mass: all but 3 and the threshold 5; and 2 matters in one view only.
    # 0.99 of the mass of those that dominate pixels (all but 1): 0, 2, 4; 6 is the threshold.
    assert torch.equal(population.gaussians.means.detach(), means[[0, 1, 4, 6, 0, 4]])
    opacities = population.gaussians.opacities()
    assert torch.allclose(opacities[[0, 2, 4, 5]], torch.tensor(1 - math.sqrt(0.5)))
    assert torch.allclose(opacities[[1, 3]], torch.tensor(0.5))
    assert torch.allclose(population.gaussians.scales()[[0, 2, 4, 5]], scales[[0, 4, 0, 4]] * 0.9521520, rtol=1e-5)
    assert population.statistics.culled.shape == (2, 6)


def test_few_views_keep_what_one_view_sees(random_population):
    """Q46: with few views the limit of one view would delete the border of the scene."""
    for config, kept in ((CONFIG, [0, 1]), (dataclasses.replace(CONFIG, few_views=0), [1])):
        population = random_population(4)
        means = population.gaussians.means.detach().clone()
        seen = torch.tensor([1, 2, 0, 9], dtype=torch.int32)
        clone_pass(population, scores([1.0, 0.9, 0.8, 0.01], seen=seen), config, views=20)
        survivors = population.gaussians.means.detach()
        assert [i for i in range(4) if (survivors == means[i]).all(1).any()] == kept


def test_simplification_keeps_at_most_its_share(random_population):
    """Appendix B.5: N <= floor(0.6 x Gaussians with a score)."""
    population = random_population(101)
    dominance = torch.ones(101, dtype=torch.int64)
    dominance[:20] = 0
    simplify(population, scores(torch.rand(101).tolist(), dominance), CONFIG, 50, torch.Generator().manual_seed(0))
    assert len(population) == int(0.6 * 81)


def test_second_simplification_keeps_the_mass(random_population):
    population = random_population(8)
    values = [0.0, 0.001, 0.004, 0.006, 0.02, 0.5, 0.9, 1.6]
    means = population.gaussians.means.detach()[5:].clone()
    simplify(population, scores(values), CONFIG, 50)
    assert torch.equal(population.gaussians.means, means)


REGULAR = dataclasses.replace(CONFIG, method="regular", min_opacity=0.05)


def test_regular_selection_takes_the_share_of_the_absolute_gradient_too(random_population):
    """3.8: half pull by their mean gradient, so the half with the largest absolute gradients is taken as well."""
    population = random_population(8)
    population.gaussians.replace({"log_scales": torch.full((8, 3), math.log(0.005))})
    population.statistics.gradient = torch.tensor([4e-4] * 4 + [0.0] * 4)
    population.statistics.absolute = torch.tensor([0.0, 1, 2, 7, 4, 3, 6, 5])
    population.statistics.drawn = torch.ones(8)
    assert as_many_of(population.statistics.absolute, torch.arange(8) < 4).tolist() == [False] * 3 + [True] * 2 + [
        False] + [True] * 2
    means = population.gaussians.means.detach().clone()
    densify_and_prune(population, REGULAR, 1.0, torch.Generator().manual_seed(0))
    new = population.gaussians.means.detach()
    assert len(new) == 8 + 7 and torch.equal(new[:8], means)
    parents = means[[0, 1, 2, 3, 4, 6, 7]]
    distance = (new[8:] - parents).norm(dim=1)
    assert (distance > 0).all() and (distance < 5 * 0.005).all()   # jittered, not exact copies
    fast = random_population(8)
    fast.statistics.absolute, fast.statistics.drawn = torch.ones(8), torch.ones(8)
    densify_and_prune(fast, CONFIG, 1.0, torch.Generator())
    assert len(fast) == 8


def test_regular_pruning_drops_the_faint_and_in_time_the_large(random_population):
    scales = torch.tensor([0.01, 0.01, 0.2])[:, None].repeat(1, 3)
    for drop_large, kept in ((False, 2), (True, 1)):
        population = random_population(3)
        population.gaussians.replace({"log_scales": scales.log(),
                                      "opacity_logits": torch.logit(torch.tensor([0.04, 0.06, 0.9]))})
        densify_and_prune(population, REGULAR, 1.0, torch.Generator(), drop_large=drop_large)
        assert len(population) == kept


def test_opacity_reset_lowers_what_is_seen(random_population):
    """3.8: the filtered opacity ends at 0.01 at most, and its moments at zero."""
    population = random_population(3)
    gaussians = population.gaussians
    gaussians.replace({"opacity_logits": torch.logit(torch.tensor([0.9, 0.5, 0.002])),
                       "filter_3d": torch.tensor([0.1, 0.0, 0.0])})
    population.optimizer.first["opacity_logits"].fill_(1)
    population.optimizer.first["means"].fill_(1)
    reset_opacities(population)
    assert torch.allclose(gaussians.splats().opacities, torch.tensor([0.01, 0.01, 0.002]), rtol=1e-4)
    assert gaussians.opacities()[0] > 0.0101
    assert not population.optimizer.first["opacity_logits"].any() and population.optimizer.first["means"].all()
