# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

from .runtime import blocks, load


def sparse_adam_step(param, grad, exp_avg, exp_avg_sq, visible, lr, step, beta1, beta2, eps):
    rate = lr * math.sqrt(1 - beta2**step) / (1 - beta1**step)
    count, rows = param.numel(), len(visible)
    load("adam.cu", param.device).launch(
        "sparse_adam", blocks(count, 256), 256, param, grad, exp_avg, exp_avg_sq, visible, count,
        count // rows, rate, float(beta1), 1.0 - beta1, float(beta2), 1.0 - beta2, float(eps),
    )  # fmt: skip
