# SPDX-License-Identifier: Apache-2.0
"""Spherical harmonics under rotations and reflections, exactly (spec extraction_evaluation_editing.md, 3.7.5)."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from milo.cuda_ext.reference.projection import sh_basis


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

    Args:
        sh_rest: [N, K-1, 3] in the basis of 3DGS, without the constant.
        Q: [N, 3, 3] orthogonal, reflections too.
        degree: active degree; coefficients beyond it come back as they are.
    """
    out = sh_rest.clone()
    for one in range(1, degree + 1):
        functions = slice(one * one - 1, (one + 1) ** 2 - 1)
        vectors, inverse = (table.to(sh_rest) for table in _probes(one))
        values = _basis(vectors @ Q, one) @ sh_rest[:, functions]                       # [N, 2l+1, 3] f(Q^T d)
        out[:, functions] = (values.transpose(1, 2) @ inverse.T).transpose(1, 2)
    return out
