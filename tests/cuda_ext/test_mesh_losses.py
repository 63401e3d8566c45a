# SPDX-License-Identifier: Apache-2.0
"""Losses between a mesh's maps and the Gaussians': the plain PyTorch oracle, finite differences, hand-made maps."""

import math

import pytest
import torch

from milo.cuda_ext import mesh_losses as ours
from milo.cuda_ext.reference import mesh_losses as oracle

K = torch.tensor([[50.0, 0, 17.3], [0, 61.0, 12.9], [0, 0, 1]], dtype=torch.float64)


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "ours")


def maps(height=23, width=31, dtype=torch.float64):
    """Mesh depth and normal, median and expected depth; the mesh has holes."""
    generator = torch.Generator().manual_seed(height)
    depth, median, expected = 2 + torch.rand(3, height, width, generator=generator, dtype=torch.float64)
    normal = torch.randn(3, height, width, generator=generator, dtype=torch.float64)
    normal = torch.nn.functional.normalize(normal, dim=0)
    hole = torch.rand(height, width, generator=generator) < 0.2
    depth[hole], normal[:, hole] = 0, 0
    return [x.to(dtype).requires_grad_() for x in (depth, normal, median, expected)]


def loss_of(ops, leaves, share):
    depth, normal, median, expected = leaves
    return ops.view_loss(depth, normal, median, K, 1.7, expected_depth=expected if share < 1 else None,
                         median_share=share, depth_weight=0.3, normal_weight=0.6)


@pytest.mark.parametrize("share", [1.0, 0.4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_oracle_and_its_gradient(share, dtype):
    mine, theirs = maps(dtype=dtype), maps()
    losses = [loss_of(ours, mine, share), loss_of(oracle, theirs, share)]
    for terms in losses:
        (2 * terms[0] + 3 * terms[1]).backward()
    tight = dtype == torch.float64
    for loss, expected in zip(*losses):
        assert loss.item() == pytest.approx(expected.item(), rel=1e-10 if tight else 1e-4)
    for leaf, expected in zip(mine, theirs):
        if expected.grad is None:
            assert leaf.grad is None
            continue
        difference = (leaf.grad - expected.grad).norm()
        assert difference < (1e-10 if tight else 2e-3) * expected.grad.norm()


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_gradient_by_finite_differences(share):
    leaves = maps(6, 7)[: 4 if share < 1 else 3]
    with torch.no_grad():
        leaves[0][leaves[0] == 0] = -1.0   # no mesh there, and a small step does not change that
    assert torch.autograd.gradcheck(lambda *x: loss_of(ours, (*x, None)[:4], share), leaves)


def test_what_the_mesh_does_not_cover_costs_nothing():
    depth, normal, splats = torch.zeros(5, 5), torch.zeros(3, 5, 5), torch.full((5, 5), 2.0)
    depth[2, 2] = 3.0
    depth_loss, normal_loss = ours.view_loss(depth, normal, splats, K, 2.0)
    assert depth_loss.item() == pytest.approx(math.log1p(0.5) / 25)
    assert normal_loss.item() == pytest.approx(1 / 25)
    for sign in (-1, 1):   # blind to orientation
        normal[2] = sign
        assert ours.view_loss(depth, normal, splats, K, 2.0)[1].item() == pytest.approx(0, abs=1e-7)


def test_where_there_are_no_gaussians_nothing_is_infinite():
    depth, normal, median, expected = maps(dtype=torch.float32)
    with torch.no_grad():
        median[3:12, 4:15] = expected[3:12, 4:15] = 0
    sum(loss_of(ours, (depth, normal, median, expected), 0.5)).backward()
    for leaf in (depth, normal, median, expected):
        assert leaf.grad.abs().max() < 10


def test_depths_without_gradient_get_none():
    depth, normal, median, _ = maps()
    ours.view_loss(depth, normal, median.detach(), K, 1.0)[0].backward()
    assert depth.grad is not None and median.grad is None


def test_refuses_what_does_not_fit():
    depth, normal, median, _ = maps()
    with pytest.raises(ValueError, match=r"mesh_normal must have shape \[3, 23, 31\]"):
        ours.view_loss(depth, normal[:2], median, K, 1.0)
    with pytest.raises(ValueError, match=r"median_share is 0\.5, so expected_depth is needed"):
        ours.view_loss(depth, normal, median, K, 1.0, median_share=0.5)
