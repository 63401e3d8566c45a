# SPDX-License-Identifier: Apache-2.0
"""Adam that touches only the rows seen in this iteration (spec rasterization.md, 6.3; training.md, 2.6)."""

from __future__ import annotations

import torch

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver


@torch.no_grad()
def sparse_adam_step(param, grad, exp_avg, exp_avg_sq, visible, lr, step, beta1=0.9, beta2=0.999, eps=1e-15):
    """One Adam step, in place, on the rows that are visible; the others keep value and moments to the bit.

    Args:
        param: [N, ...] float32, contiguous; changed in place.
        grad: the gradient, shape of param.
        exp_avg, exp_avg_sq: first and second moment, shape of param, contiguous; changed in place.
        visible: [N] bool.
        lr: learning rate, in units of param.
        step: number of steps this tensor has taken, this one included: the first is 1.
        beta1, beta2, eps: of Adam.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or a tensor to change is not contiguous.
    """
    if param.dim() == 0:
        raise ValueError("param must have at least one dimension: its rows are what visible selects.")
    shape = tuple(param.shape)
    for name, tensor in (("param", param), ("grad", grad), ("exp_avg", exp_avg), ("exp_avg_sq", exp_avg_sq)):
        check_tensor(name, tensor, shape)
        if name != "grad" and not tensor.is_contiguous():
            raise ValueError(f"{name} is changed in place and must be contiguous: call .contiguous() when creating it.")
    check_tensor("visible", visible, (shape[0],), (torch.bool,))
    check_device(param=param, grad=grad, exp_avg=exp_avg, exp_avg_sq=exp_avg_sq, visible=visible)
    if step < 1:
        raise ValueError(f"step counts from 1, this step included; it is {step}.")
    if param.numel() == 0:
        return
    driver(param).sparse_adam_step(
        param.detach(), kernel_ready(grad), exp_avg.detach(), exp_avg_sq.detach(),
        kernel_ready(visible).view(torch.uint8), lr, step, beta1, beta2, eps,
    )  # fmt: skip
