# SPDX-License-Identifier: Apache-2.0
"""Sparse Adam in plain PyTorch: the oracle of milo.cuda_ext.adam (spec rasterization.md, 6.3)."""

from __future__ import annotations

import torch


@torch.no_grad()
def sparse_adam_step(param, grad, exp_avg, exp_avg_sq, visible, lr, step, beta1=0.9, beta2=0.999, eps=1e-15):
    """One Adam step, in place, on the visible rows."""
    g = grad[visible]
    m = beta1 * exp_avg[visible] + (1 - beta1) * g
    v = beta2 * exp_avg_sq[visible] + (1 - beta2) * g**2
    rate = lr * (1 - beta2**step) ** 0.5 / (1 - beta1**step)
    param[visible] -= rate * m / (v.sqrt() + eps)
    exp_avg[visible] = m
    exp_avg_sq[visible] = v
