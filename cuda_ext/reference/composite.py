# SPDX-License-Identifier: Apache-2.0
"""Oracle of milo.cuda_ext.composite in plain PyTorch."""

from __future__ import annotations

from torch import Tensor


def composite(photo: Tensor, mask: Tensor | None, background: Tensor) -> Tensor:
    """See milo.cuda_ext.composite.composite."""
    image = photo.permute(2, 0, 1).to(background.dtype) / 255
    if mask is None:
        return image
    return (image + background[:, None, None] * (1 - mask.to(background.dtype) / 255)).clamp(0, 1)
