# SPDX-License-Identifier: Apache-2.0
"""Oracle of milo.cuda_ext.activation in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor


def activate(log_scales: Tensor, opacity_logits: Tensor, filter_radii: Tensor) -> tuple[Tensor, Tensor]:
    """See milo.cuda_ext.activation.activate."""
    scales = log_scales.exp()
    filtered = torch.hypot(scales, filter_radii[:, None])
    return filtered, opacity_logits.sigmoid() * (scales / filtered).prod(1)
