# SPDX-License-Identifier: Apache-2.0
"""The parameters of the Gaussians and their start from points (spec training.md 2.1 to 2.3)."""

import math

import pytest
import torch

from milo.backend.gaussians.files import load_gaussians, save_gaussians
from milo.backend.gaussians.model import OPTIMISED, SH_C0, Gaussians


def test_start_from_points():
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3], [9, 9, 9]])
    colors = torch.tensor([[0.5, 1.0, 0.0]]).repeat(5, 1)
    gaussians = Gaussians.from_points(points, colors, storage_degree=2)
    assert torch.allclose(gaussians.scales()[0], torch.full((3,), math.sqrt((1 + 4 + 9) / 3)), rtol=1e-5)
    assert torch.allclose(0.5 + SH_C0 * gaussians.sh_dc, colors, atol=1e-6)
    assert torch.allclose(gaussians.opacities(), torch.tensor(0.1))
    assert gaussians.storage_degree == 2 and gaussians.sh_degree == 0
    assert all(getattr(gaussians, name).requires_grad for name in OPTIMISED)
    assert not gaussians.base_occupancy.requires_grad and not gaussians.filter_3d.requires_grad


@pytest.mark.parametrize("count", [1, 2, 3])
def test_start_from_few_points_is_finite(count):
    gaussians = Gaussians.from_points(torch.rand(count, 3), torch.rand(count, 3))
    assert torch.isfinite(gaussians.log_scales).all()


def test_selected_gaussians_are_new_leaves():
    gaussians = Gaussians.from_points(torch.rand(6, 3), torch.rand(6, 3))
    gaussians.means.sum().backward()
    gaussians.select(torch.tensor([5, 0, 0]))
    assert len(gaussians) == 3 and gaussians.means.grad is None
    assert torch.equal(gaussians.means[1], gaussians.means[2])
    assert not gaussians.base_occupancy.requires_grad       # a constant, also after pruning (training.md, Q18)


def test_splat_file_round_trip(tmp_path, random_population):
    gaussians = random_population(7).gaussians
    gaussians.replace({"base_occupancy": torch.randn(7, 9), "filter_3d": torch.rand(7)})
    save_gaussians(tmp_path / "splats.ply", gaussians)
    read = load_gaussians(tmp_path / "splats.ply")
    assert read.sh_degree == 1
    assert all(torch.equal(value, gaussians.tensors()[name]) for name, value in read.tensors().items())
