# SPDX-License-Identifier: Apache-2.0
"""Photos as renders are compared with them."""

from __future__ import annotations

import torch
from torch import Tensor

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver


def composite(photo: Tensor, mask: Tensor | None, background: Tensor) -> Tensor:
    """A photo on a background.

    Args:
        photo: [H, W, 3] uint8, black where there is a mask and it is 0.
        mask: [H, W] uint8, 255 = object, or None: all of it.
        background: [3] float32.

    Returns:
        [3, H, W] float32 in [0, 1].

    Raises:
        ValueError: shapes, dtypes or devices do not agree; the message names the argument.
    """
    check_tensor("photo", photo, ("H", "W", 3), (torch.uint8,))
    check_tensor("background", background, (3,))
    if mask is not None:
        check_tensor("mask", mask, photo.shape[:2], (torch.uint8,))
        check_device(photo=photo, mask=mask)
        mask = kernel_ready(mask)
    check_device(photo=photo, background=background)
    out = background.new_empty(3, *photo.shape[:2])
    driver(out).composite(kernel_ready(photo), mask, kernel_ready(background), out)
    return out
