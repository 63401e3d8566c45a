# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .runtime import blocks, load


def fuse_depth(points, depth, viewmat, K, near, far, truncation, nearest, value, weight):
    _launch("fuse_depth", points, depth, viewmat, K, near, far, truncation, int(nearest), value, weight)


def fuse_colors(points, depth, viewmat, K, near, far, truncation, image, value, weight, colors):
    _launch("fuse_colors", points, depth, viewmat, K, near, far, truncation, image, value, weight, colors)


def carve_labels(points, depth, viewmat, K, near, far, labels):
    _launch("carve_labels", points, depth, viewmat, K, near, far, labels)


def _launch(kernel, points, depth, viewmat, K, near, far, *rest):
    load("fusion.cu", points.device, points.dtype).launch(
        kernel, blocks(len(points), 256), 256, points, len(points), depth, *depth.shape, viewmat, K, near, far,
        *rest,
    )  # fmt: skip
