# SPDX-License-Identifier: Apache-2.0
"""Opacity of points on the GPU, over the cells of the rasterisers."""

from __future__ import annotations

import torch

from .runtime import blocks, load
from .splats import PlacedScene, counted


def integrate_points(points, means, scales, quats, opacities, viewmat, K, height, width, gof, near, opacity):
    count, device = len(points), points.device
    if count == 0:
        return
    name = "gof" if gof else "radegs"
    gaussians = counted((means, scales, quats, opacities))
    radii = torch.empty(len(means), dtype=torch.int32, device=device)
    scene = PlacedScene(f"place_{name}_probes", gaussians, viewmat, K, height, width, (near,), radii)
    kernels = load("integration.cu", device, points.dtype)
    camera = (viewmat, K, width, height, near)
    keys = torch.empty(count, dtype=torch.int32, device=device)
    owns = torch.zeros(scene.cells, dtype=torch.uint8, device=device)
    kernels.launch(f"see_points_{name}", blocks(count, 256), 256, points, count, *camera, keys, owns)
    keys, order = torch.sort(keys)
    scene.list_pairs()
    masks = torch.empty(scene.num_pairs, dtype=torch.int64, device=device)
    scene.blend("integration.cu", f"find_candidates_{name}", owns, width, height, near, masks)
    kernels.launch(
        f"integrate_{name}", blocks(count, 128), 128, *scene.lists(), keys, order, points, count, *camera, masks,
        opacity,
    )  # fmt: skip
