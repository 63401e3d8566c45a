# SPDX-License-Identifier: Apache-2.0
"""Exponential, sigmoid and the mip filter (spec training.md 2.4)."""

import math

import pytest
import torch

from milo.cuda_ext import activation as ours
from milo.cuda_ext.reference import activation as oracle


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "ours")


def stored(count, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    log_scales = torch.randn(count, 3, generator=generator, dtype=torch.float64) - 2
    logits = 3 * torch.randn(count, generator=generator, dtype=torch.float64)
    radii = 0.2 * torch.rand(count, generator=generator, dtype=torch.float64)
    radii[::5] = 0
    return [log_scales.to(dtype).requires_grad_(), logits.to(dtype).requires_grad_(), radii.to(dtype)]


def test_mip_filter_of_the_spec():
    """Appendix A.5."""
    scales, opacity = ours.activate(torch.tensor([[0.01, 0.02, 0.03]]).log(), torch.zeros(1), torch.tensor([0.015]))
    assert torch.allclose(scales, torch.tensor([[0.0180278, 0.0250000, 0.0335410]]), atol=1e-7)
    assert float(opacity) / 0.5 == pytest.approx(0.3969112, abs=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_equals_the_oracle_and_its_gradients(dtype, tolerance):
    mine, theirs = stored(5000, dtype), stored(5000)
    weights = torch.randn(4, 5000, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def weighted(scales, opacities):
        return (scales * weights[:3].T.to(scales)).sum() + (opacities * weights[3].to(opacities)).sum()

    results = [ours.activate(*mine), oracle.activate(*theirs)]
    for result in results:
        weighted(*result).backward()
    for a, b in zip((*results[0], mine[0].grad, mine[1].grad), (*results[1], theirs[0].grad, theirs[1].grad)):
        torch.testing.assert_close(a.double(), b, rtol=tolerance, atol=tolerance)


def test_gradients_by_finite_differences():
    log_scales, logits, radii = stored(5)
    assert torch.autograd.gradcheck(ours.activate, (log_scales, logits, radii))


def test_filter_does_not_underflow_for_tiny_gaussians():
    scales, opacity = ours.activate(torch.full((1, 3), math.log(1e-25)), torch.zeros(1), torch.tensor([1e-25]))
    assert (scales > 0).all() and torch.isfinite(scales).all()
    assert float(opacity) == pytest.approx(0.5 * 2 ** -1.5, rel=1e-4)


def test_errors_name_the_argument():
    log_scales, logits, radii = stored(4)
    with pytest.raises(ValueError, match=r"opacity_logits must have shape \[4\]"):
        ours.activate(log_scales, logits[:3], radii)
    with pytest.raises(ValueError, match="filter_radii must be float64"):
        ours.activate(log_scales, logits, radii.float())
    assert ours.activate(log_scales[:0], logits[:0], radii[:0])[0].shape == (0, 3)
