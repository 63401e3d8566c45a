# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from ..native import native
from .runtime import blocks, load


def least_depth(points, cameras, near, depth):
    count = len(points)
    load("filter3d.cu", points.device).launch(
        "least_depth", blocks(count, 256), 256, points, count, cameras, len(cameras), float(near),
        float(native.NEVER_SEEN), depth,
    )  # fmt: skip
