# SPDX-License-Identifier: Apache-2.0
"""Oracle of milo.cuda_ext.densify_statistics in plain PyTorch."""

from __future__ import annotations

import torch


def add_render_statistics(screen_grad, radii, area_max, factor, blur_area, gradient, drawn, absolute, blurred) -> None:
    """See milo.cuda_ext.densify_statistics.add_render_statistics."""
    seen = radii > 0
    norm = torch.linalg.vector_norm(screen_grad[:, :2], dim=1)
    gradient += torch.where(seen, norm if factor is None else norm * factor, 0.0)
    drawn += seen
    if area_max is None:
        absolute += torch.where(seen, screen_grad[:, 2], 0.0)
    else:
        blurred |= seen & (area_max > blur_area)
