# SPDX-License-Identifier: Apache-2.0
"""Adam that touches only the rows seen in this iteration (spec rasterization.md, 6.3; training.md, 2.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver


class Parameter(NamedTuple):
    """A tensor and what its step needs."""

    value: Tensor        # [N, ...] float32, contiguous; changed in place
    grad: Tensor         # shape of value
    exp_avg: Tensor      # first moment, shape of value, contiguous; changed in place
    exp_avg_sq: Tensor   # second moment, likewise
    lr: float            # learning rate, in units of value
    step: int            # number of steps this tensor has taken, this one included: the first is 1


def sparse_adam_step(param, grad, exp_avg, exp_avg_sq, visible, lr, step, beta1=0.9, beta2=0.999, eps=1e-15):
    """`sparse_adam_steps` of a single tensor; the arguments are those of `Parameter`."""
    sparse_adam_steps([Parameter(param, grad, exp_avg, exp_avg_sq, lr, step)], visible, beta1, beta2, eps)


@torch.no_grad()
def sparse_adam_steps(parameters: Sequence[Parameter], visible: Tensor, beta1=0.9, beta2=0.999, eps=1e-15):
    """One Adam step, in place, on the rows that are visible; the others keep value and moments to the bit.

    Args:
        parameters: tensors of as many rows as visible; those without elements are left alone.
        visible: [N] bool, or int32: visible where it is above 0, as a radius is.
        beta1, beta2, eps: of Adam.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or a tensor to change is not contiguous.
    """
    check_tensor("visible", visible, ("N",), (torch.bool, torch.int32))
    ready = []
    for param, grad, exp_avg, exp_avg_sq, lr, step in parameters:
        _check(param, grad, exp_avg, exp_avg_sq, visible)
        if step < 1:
            raise ValueError(f"step counts from 1, this step included; it is {step}.")
        if param.numel():
            ready.append((kernel_ready(param), kernel_ready(grad), exp_avg, exp_avg_sq, lr, step))
    if ready:
        seen = kernel_ready(visible)
        driver(visible).sparse_adam_steps(ready, seen.view(torch.uint8) if seen.dtype == torch.bool else seen, beta1,
                                          beta2, eps)


def _check(param, grad, exp_avg, exp_avg_sq, visible):
    if not isinstance(param, Tensor) or param.dim() == 0:
        raise ValueError("param must be a tensor of at least one dimension: its rows are what visible selects.")
    shape = param.shape
    for name, tensor in (("param", param), ("grad", grad), ("exp_avg", exp_avg), ("exp_avg_sq", exp_avg_sq)):
        check_tensor(name, tensor, shape)
        if name != "grad" and not tensor.is_contiguous():
            raise ValueError(f"{name} is changed in place and must be contiguous: call .contiguous() when creating it.")
    check_tensor("visible", visible, (shape[0],), (visible.dtype,))
    check_device(param=param, grad=grad, exp_avg=exp_avg, exp_avg_sq=exp_avg_sq, visible=visible)
