# SPDX-License-Identifier: Apache-2.0
"""Depth-normal consistency (spec training.md 4.2)."""

import pytest
import torch

from milo.backend.training.loss import depth_normal_loss

K = torch.tensor([[30.0, 0, 8.5], [0, 32, 6.2], [0, 0, 1]])


def test_a_flat_wall_costs_only_its_border():
    """Appendix A.12: normals of a constant depth are (0, 0, -1) inside, and nothing on the border."""
    depth = torch.full((12, 16), 2.5)
    normal = torch.zeros(3, 12, 16)
    normal[2] = -1
    border = 1 - (10 * 14) / (12 * 16)
    assert float(depth_normal_loss(normal, depth, depth, K, 0.6)) == pytest.approx(border, abs=1e-6)


def test_shares_of_the_two_depths():
    wall = torch.full((12, 16), 2.5)
    empty = torch.zeros(12, 16)
    normal = torch.zeros(3, 12, 16)
    normal[2] = -1
    inside = (10 * 14) / (12 * 16)
    assert float(depth_normal_loss(normal, empty, wall, K, 0.6)) == pytest.approx(1 - 0.6 * inside, abs=1e-6)
    assert float(depth_normal_loss(normal, wall, empty, K, 0.6)) == pytest.approx(1 - 0.4 * inside, abs=1e-6)


def test_gradients_reach_normals_and_both_depths():
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(3, 6, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    median = (2 + 0.1 * torch.rand(6, 7, generator=generator, dtype=torch.float64)).requires_grad_()
    expected = (2 + 0.1 * torch.rand(6, 7, generator=generator, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda *maps: depth_normal_loss(*maps, K.double(), 0.6), (normal, median, expected))
