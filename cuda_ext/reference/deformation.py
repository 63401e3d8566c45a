# SPDX-License-Identifier: Apache-2.0
"""Gaussians that follow a surface, in plain PyTorch: oracles of milo.cuda_ext.deformation, whose docstrings hold here
(spec extraction_evaluation_editing.md, 3.7.3 to 3.7.5)."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from .projection import rotation_from_quaternion, sh_basis

LEAST_STRETCH = 1e-4


@cache
def _probes(degree: int) -> tuple[Tensor, Tensor]:
    """As many unit vectors [2l+1, 3] as a degree l has functions, and the inverse [2l+1, 2l+1] of their values there.

    Of spread vectors those are taken whose rows are the most independent.
    """
    k = torch.arange(200, dtype=torch.float64)
    z = 1 - (2 * k + 1) / 200
    turn = k * torch.pi * (3 - 5**0.5)
    spread = torch.stack([(1 - z * z).sqrt() * turn.cos(), (1 - z * z).sqrt() * turn.sin(), z], 1)
    values = _basis(spread, degree)
    left, chosen = values.clone(), []
    for _ in range(2 * degree + 1):
        chosen.append(int(left.norm(dim=1).argmax()))
        row = left[chosen[-1]] / left[chosen[-1]].norm()
        left = left - (left @ row)[:, None] * row
    return spread[chosen], torch.linalg.inv(values[chosen])


def _basis(directions: Tensor, degree: int) -> Tensor:
    """[..., 3] -> [..., 2l+1], the functions of one degree l."""
    return torch.stack(sh_basis(*directions.unbind(-1), degree)[degree * degree:], -1)


def turn_harmonics(sh_rest: Tensor, Q: Tensor, degree: int) -> Tensor:
    """Coefficients of f'(d) = f(Q^T d).

    A turned function of a degree stays in it, so that its values at a few vectors give its coefficients.
    """
    out = sh_rest.clone()
    for one in range(1, degree + 1):
        functions = slice(one * one - 1, (one + 1) ** 2 - 1)
        vectors, inverse = (table.to(sh_rest) for table in _probes(one))
        values = _basis(vectors @ Q, one) @ sh_rest[:, functions]                       # [N, 2l+1, 3] f(Q^T d)
        out[:, functions] = (values.transpose(1, 2) @ inverse.T).transpose(1, 2)
    return out


def carry(gradients, gone, positions, groups, verts, share, residual, object, matrices, opacities):
    """F [N, 3, 3], means [N, 3], volumes [N] and opacities [N]."""
    groups, W = groups.long(), matrices[object.long()]
    local = (share[:, :, None, None] * gradients[groups]).sum(1)
    point = (share[:, :, None] * positions[verts.long()]).sum(1) + (local @ residual[:, :, None])[..., 0]
    F = W[:, :3, :3] @ local
    means = (W[:, :3, :3] @ point[:, :, None])[..., 0] + W[:, :3, 3]
    hidden = (gone[groups] & (share > 1e-6)).any(1)
    return F, means, torch.linalg.det(F).abs(), torch.where(hidden, 0.0, opacities)


def reshape(F, unit, object, limits, on_the_whole, scales, quats, sh_rest, degree):
    """Covariances [N, 3, 3] and sh_rest [N, K-1, 3]."""
    U, S, Vh = torch.linalg.svd(F / unit)
    flat = S[:, 1] < LEAST_STRETCH * S[:, 0]
    whole_U, _, whole_Vh = torch.linalg.svd(on_the_whole[object.long()])
    Q = torch.where(flat[:, None, None], whole_U @ whole_Vh, U @ Vh)
    held = torch.minimum(S, limits[object.long(), None]).clamp_min(LEAST_STRETCH)
    half = (U * held[:, None]) @ Vh @ (rotation_from_quaternion(quats) * scales[:, None])
    return half @ half.transpose(1, 2), turn_harmonics(sh_rest, Q, degree)
