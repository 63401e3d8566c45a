# SPDX-License-Identifier: Apache-2.0
"""The 3D filter in plain PyTorch: the oracle of milo.cuda_ext.filter3d (spec training.md, 2.4)."""

from __future__ import annotations

import torch


@torch.no_grad()
def filter_3d(means, viewmats, Ks, sizes, near=0.2):
    """[N] filter radii, from every camera in turn."""
    depth = torch.full_like(means[:, 0], 1e5)
    for viewmat, K, (height, width) in zip(viewmats, Ks, sizes.tolist()):
        p = means @ viewmat[:3, :3].T + viewmat[:3, 3]
        z = p[:, 2].clamp(min=0.001)
        u, v = K[0, 0] * p[:, 0] / z + K[0, 2], K[1, 1] * p[:, 1] / z + K[1, 2]
        inside = (u >= -0.15 * width) & (u <= 1.15 * width) & (v >= -0.15 * height) & (v <= 1.15 * height)
        depth = torch.where((p[:, 2] > near) & inside, torch.minimum(depth, p[:, 2]), depth)
    seen = depth < 1e5
    if seen.any():
        depth[~seen] = depth[seen].max()
    return 0.2**0.5 * depth / Ks[:, 0, 0].max()
