# SPDX-License-Identifier: Apache-2.0
"""Oracle of milo.cuda_ext.surface_gradients in plain PyTorch (spec extraction_evaluation_editing.md, 3.7.3)."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from .projection import rotation_from_quaternion

FAR_APART = 0.35   # of |F|
TURNED = 3**0.5 / 2   # cosine of 30 degrees


def triangle_gradients(positions, rest, normal_stretch="uniform"):
    """Gradients [F, 3, 3] and weights [F]."""
    y = positions[rest.faces.long()]
    e1, e2 = y[:, 1] - y[:, 0], y[:, 2] - y[:, 0]
    c = torch.linalg.cross(e1, e2)
    area = c.norm(dim=1)
    ratio = area / rest.areas.clamp_min(1e-30)
    k = {"uniform": ratio.sqrt(), "thickness": torch.ones_like(ratio),
         "volume": (1 / ratio.clamp_min(1e-30)).clamp(0.25, 4)}[normal_stretch]
    n = c * (rest.flip * k / area.clamp_min(1e-30))[:, None]
    F = torch.stack([e1, e2, n], 2) @ torch.cat([rest.duals, rest.normals[:, None]], 1)
    return F, torch.where(rest.good & (area >= 1e-6 * rest.areas), rest.areas, 0.0)


def vertex_gradients(F, weights, begins, incident):
    """Means [G, 3, 3] and total weights [G], one vertex after the other."""
    means, totals = [], []
    for first, last in zip(begins.tolist(), begins[1:].tolist()):
        around = incident[first:last].long()
        around = around[weights[around] > 0]
        share, total = weights[around], weights[around].sum()
        totals.append(total)
        if not len(around):
            means.append(torch.zeros_like(F[0]))
            continue
        share = (share / total)[:, None, None]
        mean = (share * F[around]).sum(0)
        if ((F[around] - mean).norm(dim=(1, 2)) > FAR_APART * mean.norm()).any():
            mean = _blend_turned(F[around], share, mean)
        means.append(mean)
    return torch.stack(means), torch.stack(totals)


def _blend_turned(F, share, mean):
    """Rotations and stretches blended apart, if one turns away from the others."""
    sign = torch.where(torch.linalg.det(F) < 0, -1.0, 1.0).to(F)[:, None, None]
    U, S, Vh = torch.linalg.svd(F * sign)
    rotations, stretches = U @ Vh, Vh.transpose(1, 2) @ (S[:, :, None] * Vh)
    # The mean of quaternions whose signs are aligned: a quaternion of a rotation R maximises this form.
    quats = torch.stack([_quaternion(R) for R in rotations])
    quats = quats * torch.where((quats @ quats[0]) < 0, -1.0, 1.0).to(F)[:, None]
    middle = rotation_from_quaternion((share[:, 0] * quats).sum(0, keepdim=True))[0]
    cosines = ((middle * rotations).sum((1, 2)) - 1) / 2
    if not (cosines < TURNED).any():
        return mean
    return middle @ (share * stretches).sum(0) * (share * sign).sum().sign()


def _quaternion(R):
    """(w, x, y, z) of one rotation: the eigenvector of the largest eigenvalue of a symmetric matrix made of it."""
    (a, b, c), (d, e, f), (g, h, i) = R
    form = torch.stack([a + e + i, h - f, c - g, d - b, h - f, a - e - i, d + b, c + g, c - g, d + b, e - a - i, h + f,
                        d - b, c + g, h + f, i - a - e]).reshape(4, 4)
    return normalize(torch.linalg.eigh(form).eigenvectors[:, -1], dim=0)
