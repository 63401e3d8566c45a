# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import struct

import torch

from .runtime import load

_BLOCK = 256
_TENSORS = 8       # of a launch, as in adam.cu
_ITEM = "4P3If"    # Parameter of adam.cu


def sparse_adam_steps(parameters, visible, beta1, beta2, eps):
    seen = (visible, None) if visible.dtype == torch.uint8 else (None, visible)
    for first in range(0, len(parameters), _TENSORS):
        items, end = [], 0
        some = parameters[first : first + _TENSORS]
        for value, grad, exp_avg, exp_avg_sq, lr, step in some:
            count = value.numel()
            rate = lr * math.sqrt(1 - beta2**step) / (1 - beta1**step)
            items += (value.data_ptr(), grad.data_ptr(), exp_avg.data_ptr(), exp_avg_sq.data_ptr(), end, count,
                      count // len(value), rate)  # fmt: skip
            end += -(-count // _BLOCK)
        empty = (_TENSORS - len(some)) * struct.calcsize(_ITEM)
        load("adam.cu", visible.device).launch(
            "sparse_adam", end, _BLOCK, struct.pack(len(some) * _ITEM, *items) + bytes(empty), len(some), *seen,
            float(beta1), 1.0 - beta1, float(beta2), 1.0 - beta2, float(eps),
        )  # fmt: skip
