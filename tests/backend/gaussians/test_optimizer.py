# SPDX-License-Identifier: Apache-2.0
"""Learning rates, steps and how the optimiser follows a change of the set (spec training.md 2.5, 2.6)."""

import pytest
import torch

from milo.backend.config import OptimConfig
from milo.backend.gaussians.optimizer import position_lr


@pytest.mark.parametrize(("k", "lr"), [(1, 1.599754e-4), (1000, 1.372313e-4), (3000, 1.009532e-4), (8000, 4.685831e-5),
                                       (13000, 2.174970e-5), (18000, 1.009532e-5), (30000, 1.6e-6), (40000, 1.6e-6)])
def test_position_rate_of_the_spec(k, lr):
    """Appendix A.1, for an extent of 2."""
    assert position_lr(OptimConfig(), k, 2.0) == pytest.approx(2 * lr, rel=2e-6)


def test_first_step_has_the_length_of_the_rate(random_population):
    """Appendix A.11; invisible rows and tensors without gradient stay."""
    population = random_population(4)
    gaussians, optimizer = population.gaussians, population.optimizer
    before = gaussians.tensors()["quats"].clone()
    (gaussians.quats * torch.randn(4, 4)).sum().backward()
    visible = torch.tensor([True, False, True, True])
    optimizer.step(gaussians, visible, k=1)
    moved = (gaussians.quats.detach() - before).abs()
    assert torch.allclose(moved[visible], torch.full((3, 4), OptimConfig().quat_lr), rtol=1e-4)
    assert not moved[1].any()
    assert optimizer.steps["quats"] == 1 and optimizer.steps["means"] == 0
    assert gaussians.quats.grad is None


@pytest.mark.parametrize(("step", "factor"), [(1, 0.3162278), (10, 0.1531891), (100, 0.3085659), (1000, 0.7951758)])
def test_step_factor_of_the_spec(random_population, step, factor):
    """Appendix A.11: with moments of 1, a step moves by rate x factor (the gradient of 1 keeps them at 1)."""
    population = random_population(1)
    gaussians, optimizer = population.gaussians, population.optimizer
    optimizer.steps["means"] = step - 1
    optimizer.first["means"].fill_(1)
    optimizer.second["means"].fill_(1)
    before = gaussians.means.detach().clone()
    gaussians.means.sum().backward()
    optimizer.step(gaussians, torch.ones(1, dtype=torch.bool), k=step)
    expected = position_lr(OptimConfig(), step, 1.0) * factor
    assert torch.allclose(before - gaussians.means.detach(), torch.tensor(expected), rtol=2e-2, atol=0)


def test_moments_follow_the_rows(random_population):
    population = random_population(5)
    gaussians, optimizer = population.gaussians, population.optimizer
    (gaussians.means.square().sum() + gaussians.sh_rest.sum()).backward()
    optimizer.step(gaussians, torch.ones(5, dtype=torch.bool), k=1)
    first, steps = optimizer.first["means"].clone(), dict(optimizer.steps)
    population.select(torch.tensor([4, 2, 2, 0]), appended=2)
    assert torch.equal(optimizer.first["means"][:2], first[[4, 2]])
    assert not optimizer.first["means"][2:].any() and not optimizer.second["sh_rest"][2:].any()
    assert optimizer.steps == steps


def test_a_new_set_gets_no_step(random_population):
    population = random_population(5)
    population.gaussians.means.sum().backward()
    population.select(torch.arange(3))
    before = population.gaussians.means.detach().clone()
    population.optimizer.step(population.gaussians, torch.ones(3, dtype=torch.bool), k=1)
    assert torch.equal(population.gaussians.means, before) and population.optimizer.steps["means"] == 0
