# SPDX-License-Identifier: Apache-2.0
"""The 3D (mip) filter: no Gaussian smaller than what its nearest camera can resolve (spec training.md, 2.4)."""

from __future__ import annotations

import torch

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver
from .native import native


@torch.no_grad()
def filter_3d(means, viewmats, Ks, sizes, near=0.2):
    """Filter radius of every Gaussian: sqrt(0.2) d / F.

    d is the least view depth over the cameras that see the mean (in front of `near`, inside the image enlarged by 15%
    on each side), F the largest fx. Gaussians that no camera sees get the largest d of the others, 100000 if there is
    none.

    Args:
        means: [N, 3] float32, world.
        viewmats: [C, 4, 4] float32, world to camera.
        Ks: [C, 3, 3] float32, pixels; the principal point may lie anywhere.
        sizes: [C, 2] integers, (height, width).
        near: world units.

    Returns:
        [N] float32, world units, without gradient.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or there is no camera.
    """
    check_tensor("means", means, ("N", 3))
    check_tensor("viewmats", viewmats, ("C", 4, 4))
    count = viewmats.shape[0]
    if count == 0:
        raise ValueError("viewmats is empty: the filter needs at least one camera.")
    check_tensor("Ks", Ks, (count, 3, 3))
    check_tensor("sizes", sizes, (count, 2), (torch.int32, torch.int64))
    check_device(means=means, viewmats=viewmats, Ks=Ks, sizes=sizes)
    if not len(means):
        return means.new_empty(0)
    intrinsics = torch.stack([Ks[:, 0, 0], Ks[:, 1, 1], Ks[:, 0, 2], Ks[:, 1, 2]], 1)
    cameras = torch.cat([viewmats[:, :3].reshape(count, 12), intrinsics, sizes.flip(1).float()], 1)
    depth = means.new_empty(len(means))
    driver(means).least_depth(kernel_ready(means), kernel_ready(cameras), near, depth)
    unseen = depth >= native.NEVER_SEEN
    largest = depth.masked_fill(unseen, -torch.inf).max()
    fallback = torch.where(unseen.all(), native.NEVER_SEEN, largest)   # no branch: that would wait for the GPU
    depth = torch.where(unseen, fallback, depth)
    return depth * (0.2**0.5 / Ks[:, 0, 0].max())
