# SPDX-License-Identifier: Apache-2.0
"""Activation, the mip filter and the start from points (spec training.md 2.1 to 2.4)."""

import math

import pytest
import torch

from milo.backend.gaussians.files import load_gaussians, save_gaussians
from milo.backend.gaussians.model import OPTIMISED, SH_C0, Gaussians, _Activation


def test_mip_filter_of_the_spec():
    """Appendix A.5."""
    scales, opacity = _Activation.apply(torch.tensor([[0.01, 0.02, 0.03]]).log(), torch.zeros(1), torch.tensor([0.015]))
    assert torch.allclose(scales, torch.tensor([[0.0180278, 0.0250000, 0.0335410]]), atol=1e-7)
    assert float(opacity) / 0.5 == pytest.approx(0.3969112, abs=1e-6)


def test_activation_gradients():
    generator = torch.Generator().manual_seed(1)
    log_scales = torch.randn(5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    logits = torch.randn(5, generator=generator, dtype=torch.float64, requires_grad=True)
    radius = torch.rand(5, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(_Activation.apply, (log_scales, logits, radius))


def test_filter_does_not_underflow_for_tiny_gaussians():
    scales, opacity = _Activation.apply(torch.full((1, 3), math.log(1e-15)), torch.zeros(1), torch.tensor([1e-15]))
    assert torch.isfinite(scales).all()
    assert float(opacity) == pytest.approx(0.5 * 2 ** -1.5, rel=1e-4)


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


def test_splat_file_round_trip(tmp_path, random_population):
    gaussians = random_population(7).gaussians
    gaussians.replace({"base_occupancy": torch.randn(7, 9), "filter_3d": torch.rand(7)})
    save_gaussians(tmp_path / "splats.ply", gaussians)
    read = load_gaussians(tmp_path / "splats.ply")
    assert read.sh_degree == 1
    assert all(torch.equal(value, gaussians.tensors()[name]) for name, value in read.tensors().items())
