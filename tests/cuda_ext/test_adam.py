# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from milo.cuda_ext import adam
from milo.cuda_ext.adam import Parameter
from milo.cuda_ext.reference import adam as reference


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "adam")


def state(rows, *columns, seed=0):
    generator = torch.Generator().manual_seed(seed)
    param, exp_avg = (torch.randn(rows, *columns, generator=generator) for _ in range(2))
    return [param, 1e-2 * exp_avg, 1e-3 * torch.rand(rows, *columns, generator=generator)]


@pytest.mark.parametrize("columns", [(), (3,), (15, 3)])
def test_matches_the_oracle_over_many_steps(columns):
    rows = 9000                                      # several chunks of the thread pool
    ours, generator = state(rows, *columns), torch.Generator().manual_seed(1)
    oracle = [tensor.double() for tensor in ours]
    for step in range(1, 6):
        grad = torch.randn(rows, *columns, generator=generator)
        visible = torch.rand(rows, generator=generator) < 0.4
        before = [tensor.clone() for tensor in ours]
        adam.sparse_adam_step(ours[0], grad, ours[1], ours[2], visible, 1e-2, step)
        reference.sparse_adam_step(oracle[0], grad.double(), oracle[1], oracle[2], visible, 1e-2, step)
        for now, then in zip(ours, before):
            assert torch.equal(now[~visible], then[~visible])
            assert not torch.equal(now[visible], then[visible])
    for mine, theirs in zip(ours, oracle):
        torch.testing.assert_close(mine.double(), theirs, rtol=2e-6, atol=1e-7)


def test_matches_torch_adam_where_everything_is_visible():
    param, _, _ = state(50, 4)
    dense = param.clone().requires_grad_()
    optimiser = torch.optim.Adam([dense], lr=3e-3, eps=1e-15)
    exp_avg, exp_avg_sq = torch.zeros_like(param), torch.zeros_like(param)
    visible = torch.ones(50, dtype=torch.bool)
    for step in range(1, 20):
        grad = torch.cos(step + param)
        dense.grad = grad.clone()
        optimiser.step()
        adam.sparse_adam_step(param, grad, exp_avg, exp_avg_sq, visible, 3e-3, step)
        torch.testing.assert_close(param, dense.detach(), rtol=0, atol=2e-6)


def test_first_step_of_a_fresh_state_has_length_lr():
    param = torch.zeros(3, 2)
    grad = torch.tensor([[1e-6, -5.0], [3e4, 1.0], [0.0, 0.0]])
    adam.sparse_adam_step(param, grad, torch.zeros(3, 2), torch.zeros(3, 2), torch.ones(3, dtype=torch.bool), 0.1, 1)
    torch.testing.assert_close(param, -0.1 * grad.sign())


def test_a_leaf_that_requires_grad_is_changed_in_place():
    param = torch.ones(2, 3, requires_grad=True)
    visible = torch.tensor([True, False])
    adam.sparse_adam_step(param, torch.ones(2, 3), torch.zeros(2, 3), torch.zeros(2, 3), visible, 1, 1)
    assert param[0].max() < 0.5 and torch.equal(param[1], torch.ones(3))


def test_many_tensors_take_their_steps_at_once_where_a_radius_is_positive():
    columns = [(3,), (), (15, 3), (0, 3), (9,), (4,), (1,), (2,), (3,), (45,)]
    radii = torch.randint(-1, 3, (700,), generator=torch.Generator().manual_seed(3), dtype=torch.int32)
    together, alone = ([state(700, *c, seed=k) for k, c in enumerate(columns)] for _ in range(2))
    grads = [torch.randn(700, *c, generator=torch.Generator().manual_seed(9)) for c in columns]
    adam.sparse_adam_steps(tuple(
        Parameter(value, grad, first, second, 1e-3 * (k + 1), k + 1)
        for k, ((value, first, second), grad) in enumerate(zip(together, grads))
    ), radii)
    for k, ((value, first, second), grad) in enumerate(zip(alone, grads)):
        adam.sparse_adam_step(value, grad, first, second, radii > 0, 1e-3 * (k + 1), k + 1)
    for mine, theirs in zip(together, alone):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs))


@pytest.mark.parametrize("device", ["cpu"])
def test_no_row_is_fine_and_errors_name_the_argument():
    empty = torch.zeros(0, 3)
    adam.sparse_adam_step(empty, empty, empty, empty, torch.zeros(0, dtype=torch.bool), 0.1, 1)

    x, visible = torch.zeros(4, 3), torch.ones(4, dtype=torch.bool)
    with pytest.raises(ValueError, match="exp_avg_sq must have shape"):
        adam.sparse_adam_step(x, x, x, x[:2], visible, 0.1, 1)
    with pytest.raises(ValueError, match="visible must be bool or int32"):
        adam.sparse_adam_step(x, x, x, x, visible.float(), 0.1, 1)
    with pytest.raises(ValueError, match=r"visible must have shape \[4\]"):
        adam.sparse_adam_step(x, x, x, x, visible[:3], 0.1, 1)
    with pytest.raises(ValueError, match="param is changed in place"):
        adam.sparse_adam_step(torch.zeros(3, 4).T, x, x, x, visible, 0.1, 1)
    with pytest.raises(ValueError, match="step counts from 1"):
        adam.sparse_adam_step(x, x, x, x, visible, 0.1, 0)
