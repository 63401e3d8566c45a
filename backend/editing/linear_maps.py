# SPDX-License-Identifier: Apache-2.0
"""Many rotations at once. CPU and CUDA alike."""

from __future__ import annotations

import torch
from torch import Tensor


def to_matrices(quats: Tensor) -> Tensor:
    """Rotations [N, 3, 3] of quaternions [N, 4] (w, x, y, z) of any length."""
    w, x, y, z = (quats / quats.norm(dim=1, keepdim=True).clamp_min(1e-12)).unbind(1)
    return torch.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ], 1).reshape(-1, 3, 3)  # fmt: skip
