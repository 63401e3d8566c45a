# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .runtime import blocks, load


def add_render_statistics(screen_grad, radii, area_max, factor, blur_area, *statistics):
    count = len(radii)
    load("densify_statistics.cu", radii.device).launch(
        "add_render_statistics", blocks(count, 256), 256, screen_grad, radii, area_max, factor, blur_area, count,
        *statistics,
    )  # fmt: skip
