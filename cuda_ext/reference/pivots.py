# SPDX-License-Identifier: Apache-2.0
"""Oracle of milo.cuda_ext.pivots in plain PyTorch (spec training.md 4.4, 5.2, 5.4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def rotation_matrices(quats):
    """Rotations [n, 3, 3] (world = R local) of quaternions [n, 4] (w, x, y, z), which need not be unit length."""
    w, x, y, z = F.normalize(quats, dim=-1, eps=1e-12).unbind(-1)
    rows = (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y))  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def pivots(means, scales, quats, rows=None, share=1.0):
    if rows is not None:
        means, scales, quats = (values[rows.long()] for values in (means, scales, quats))
    half = scales * (3.0 * share ** (-1 / 3))
    axes = rotation_matrices(quats) * half[:, None, :]                          # columns = half axes of the box
    signs = torch.tensor([-1.0, 1.0], dtype=means.dtype)
    corners = torch.cartesian_prod(signs, signs, signs)                         # z fastest
    boxes = means[:, None, :] + corners @ axes.transpose(1, 2)                  # [n, 8, 3]
    radii = half.detach().amax(dim=1)
    return torch.cat([boxes.reshape(-1, 3), means]), torch.cat([radii.repeat_interleave(8), radii])


def to_pivot_order(values):
    """[n, 9] per Gaussian (eight corners, centre) -> [9n] in pivot order."""
    return torch.cat([values[:, :8].reshape(-1), values[:, 8]])


def field(base, shift, rows=None, labels=None, on_surface=None, *, label_kind="parity", center_weight=1.0,
          label_weight=1.0):  # fmt: skip
    logits = base + shift
    if rows is not None:
        logits = logits[rows.long()]
    flat = to_pivot_order(logits)
    sdf = (0.5 - torch.sigmoid(flat)) / 0.495
    if labels is None:
        return sdf, None, None
    centers = logits[:, 8] if on_surface is None else logits[on_surface, 8]
    center_loss = F.relu(0.5 - torch.sigmoid(centers)).mean()
    labels = labels.to(flat.dtype)
    if label_kind == "masked":
        label_loss = (F.softplus(-flat) * labels).mean()
    else:
        label_loss = F.binary_cross_entropy_with_logits(flat, labels) * labels.mean()
    return sdf, center_weight * center_loss, label_weight * label_loss
