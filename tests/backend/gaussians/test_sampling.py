# SPDX-License-Identifier: Apache-2.0
"""The mass rule and weighted draws (spec training.md 3.1, 3.7)."""

import numpy as np
import pytest
import torch

from milo.backend.gaussians.sampling import draw_weighted, keep_mass


def test_mass_rule_of_the_spec():
    """Appendix A.3."""
    importance = torch.tensor([0, 0.001, 0.004, 0.006, 0.02, 0.5, 0.9, 1.6])
    assert keep_mass(importance, 0.99).tolist() == [False] * 5 + [True] * 3


def test_mass_rule_at_its_ends():
    assert not keep_mass(torch.zeros(3), 0.99).any()
    assert keep_mass(torch.zeros(3), 1.0).all()
    assert keep_mass(torch.zeros(0), 0.5).shape == (0,)


def test_mass_rule_drops_at_most_its_share_and_one():
    importance = torch.rand(2000, generator=torch.Generator().manual_seed(0)) ** 4
    kept = keep_mass(importance, 0.9)
    dropped = importance[~kept].sort().values
    assert dropped[:-1].sum() <= 0.1 * importance.sum() + 2e-3
    assert importance[kept].min() >= dropped[-1]


def test_draws_are_proportional_and_without_replacement():
    generator = torch.Generator().manual_seed(0)
    weights = torch.tensor([0.0, 1.0, 2.0, 5.0])
    draws = [draw_weighted(weights, 2, generator) for _ in range(4000)]
    assert all(len(set(draw.tolist())) == 2 and 0 not in draw for draw in draws)
    share = np.bincount(torch.cat(draws).numpy(), minlength=4) / len(draws)
    # sequential draws: P(1 is drawn) = 1/8 + 2/8 * 1/6 + 5/8 * 1/3
    assert share[1] == pytest.approx(0.375, abs=0.03)
    assert share[3] == pytest.approx(5 / 8 + 1 / 8 * 5 / 7 + 2 / 8 * 5 / 6, abs=0.03)


def test_draws_take_all_there_is():
    weights = torch.tensor([0.0, 3.0, 0.0, 1.0])
    assert draw_weighted(weights, 9, torch.Generator()).tolist() == [1, 3]
