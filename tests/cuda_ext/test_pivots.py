# SPDX-License-Identifier: Apache-2.0
"""Pivots and the field at them: vectors of the spec, the plain PyTorch oracle, finite differences."""

import math

import pytest
import torch

from milo.cuda_ext import pivots as ours
from milo.cuda_ext.reference import pivots as oracle

ROWS = torch.tensor([1, 3, 4, 7], dtype=torch.int32)


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "ours")


def gaussians(count=9, dtype=torch.float64, seed=2):
    generator = torch.Generator().manual_seed(seed)
    means, scales, quats = (torch.rand(count, n, generator=generator, dtype=torch.float64) + 0.2 for n in (3, 3, 4))
    return [value.to(dtype).requires_grad_() for value in (means, scales, quats)]


def logits(count=9, seed=3):
    generator = torch.Generator().manual_seed(seed)
    base, shift = torch.randn(2, count, 9, generator=generator, dtype=torch.float64)
    labels = (torch.rand(9 * count, generator=generator) < 0.4).to(torch.uint8)
    return base, shift.requires_grad_(), labels


def agrees(ours, theirs, **tolerance):
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, check_dtype=False, **tolerance)


def test_vector_of_the_spec():
    """Appendix A.6: a turned Gaussian, and boxes grown because one in eight was chosen."""
    half = math.sqrt(0.5)
    points, radii = ours.pivots(torch.tensor([[1.0, 2, 3]]), torch.tensor([[0.1, 0.2, 0.3]]),
                                torch.tensor([[half, 0, 0, half]]), share=0.125)
    expected = torch.tensor([[2.2, 1.4, 1.2], [2.2, 1.4, 4.8], [-0.2, 1.4, 1.2], [-0.2, 1.4, 4.8],
                             [2.2, 2.6, 1.2], [2.2, 2.6, 4.8], [-0.2, 2.6, 1.2], [-0.2, 2.6, 4.8], [1, 2, 3]])
    assert torch.allclose(points, expected, atol=1e-6)
    assert torch.allclose(radii, torch.full((9,), 1.8))


def test_an_unturned_box_reaches_three_sigma():
    points, radii = ours.pivots(torch.zeros(1, 3), torch.tensor([[1.0, 2, 3]]), torch.tensor([[2.0, 0, 0, 0]]))
    assert torch.equal(points[:8].abs(), torch.tensor([3.0, 6, 9]).expand(8, 3))
    assert torch.equal(radii, torch.full((9,), 9.0))


def test_corners_come_before_centres():
    means = torch.arange(15.0).view(5, 3)
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(5, 1)
    points, _ = ours.pivots(means, torch.full((5, 3), 0.01), quats)
    assert torch.equal(points[40:], means)
    assert torch.allclose(points[16:24].mean(0), means[2])
    sdf, _, _ = ours.field(torch.arange(45.0).view(5, 9) / 9, torch.zeros(5, 9))
    assert torch.equal(sdf[:8], sdf[:8].sort(descending=True).values)
    assert torch.equal(sdf[40:].argsort(descending=True), torch.arange(5)) and sdf[40] < sdf[7]


@pytest.mark.parametrize("rows", [None, ROWS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pivots_equal_the_oracle(rows, dtype):
    mine, theirs = gaussians(dtype=dtype), gaussians()
    results = [ops.pivots(*inputs, rows, 0.7) for ops, inputs in ((ours, mine), (oracle, theirs))]
    weight = torch.randn(results[1][0].shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for points, _ in results:
        (points * weight.to(points.dtype)).sum().backward()
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 2e-4, "atol": 2e-4}
    agrees(results[0], results[1], **tolerance)
    agrees([x.grad for x in mine], [x.grad for x in theirs], **tolerance)


@pytest.mark.parametrize("rows", [None, ROWS])
def test_pivots_by_finite_differences(rows):
    assert torch.autograd.gradcheck(lambda *values: ours.pivots(*values, rows, 0.5)[0], gaussians(8))


def test_signed_distance_of_logits():
    """Extraction spec 7.2: 0 at logit 0, -1/0.99 deep inside."""
    base = torch.tensor([[0.0, 40, -40, 1, -1, 2, -2, 3, -3]], dtype=torch.float64)
    sdf, center, label = ours.field(base, torch.zeros_like(base))
    assert sdf[0] == 0 and sdf[1].item() == pytest.approx(-1.0101, abs=1e-4)
    assert torch.allclose(sdf, -torch.tanh(base[0] / 2) / 0.99, atol=1e-12)
    assert center is None and label is None


@pytest.mark.parametrize("kind", ["parity", "masked"])
@pytest.mark.parametrize("rows, on_surface", [
    (None, None), (ROWS, None), (ROWS, torch.tensor([True, False, True, False])),
    (ROWS, torch.zeros(4, dtype=torch.bool))])
def test_field_equals_the_oracle(kind, rows, on_surface):
    count = 9 if rows is None else len(rows)
    options = {"label_kind": kind, "center_weight": 0.3, "label_weight": 0.7}
    results, gradients = [], []
    for ops in (ours, oracle):
        base, shift, labels = logits()
        sdf, center, label = ops.field(base, shift, rows, labels[: 9 * count], on_surface, **options)
        center = torch.nan_to_num(center)   # of no centre at all
        weight = torch.linspace(-1, 1, len(sdf), dtype=torch.float64)
        ((sdf * weight).sum() + 2 * torch.nan_to_num(center) + 3 * label).backward()
        results.append((sdf, center, label))
        gradients.append(shift.grad)
    agrees(*results, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_each_output_alone_has_its_gradient():
    for index in range(3):
        gradients = []
        for ops in (ours, oracle):
            base, shift, labels = logits()
            ops.field(base, shift, None, labels)[index].sum().backward()
            gradients.append(shift.grad)
        torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["parity", "masked"])
def test_field_by_finite_differences(kind):
    base, shift, labels = logits()
    on_surface = torch.tensor([True, False, True, True])
    assert torch.autograd.gradcheck(
        lambda shift: ours.field(base, shift, ROWS, labels[:36], on_surface, label_kind=kind), shift)


def test_label_loss_of_the_spec():
    """Appendix A.10 and the element-wise version it warns about, on its four logits; the others are sure."""
    logits = torch.full((1, 9), 60.0, dtype=torch.float64)
    logits[0, :4] = torch.tensor([2.0, -1, 0.5, -3])
    labels = torch.ones(9, dtype=torch.uint8)
    labels[2:4] = 0
    _, _, masked = ours.field(logits, torch.zeros_like(logits), None, labels, label_kind="masked", label_weight=0.005)
    assert masked.item() * 9 / 4 == pytest.approx(0.001800237, abs=1e-8)
    _, _, parity = ours.field(logits, torch.zeros_like(logits), None, labels, label_weight=0.005)
    assert parity.item() * 9 / 4 / (7 / 9) * 0.5 == pytest.approx(0.001539284, abs=1e-8)


def test_centres_are_pulled_inside_only():
    base = torch.full((2, 9), -5.0)
    base[0, 8] = 3.0
    shift = torch.zeros_like(base).requires_grad_()
    ours.field(base, shift, None, torch.ones(18, dtype=torch.uint8))[1].backward()
    assert shift.grad[1, 8] < 0
    assert shift.grad.count_nonzero() == 1


def test_many_gaussians_give_the_oracles_losses():
    """More than one block or chunk of work."""
    generator = torch.Generator().manual_seed(5)
    base, shift = torch.randn(2, 9001, 9, generator=generator)
    labels = (torch.rand(9 * 9001, generator=generator) < 0.4).to(torch.uint8)
    expected = oracle.field(base.double(), shift.double(), None, labels)
    agrees(ours.field(base, shift, None, labels), expected, rtol=1e-5, atol=1e-5)


def test_refuses_what_does_not_fit():
    base, shift, labels = logits()
    with pytest.raises(ValueError, match=r"labels must have shape \[36\]"):
        ours.field(base, shift, ROWS, labels)
    with pytest.raises(ValueError, match="rows must be int32, not int64"):
        ours.field(base, shift, ROWS.long())
    with pytest.raises(ValueError, match='label_kind must be "parity" or "masked"'):
        ours.field(base, shift, None, labels, label_kind="both")
    with pytest.raises(ValueError, match=r"scales must have shape \[9, 3\]"):
        means, scales, quats = gaussians()
        ours.pivots(means, scales[:3], quats)
