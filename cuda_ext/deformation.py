# SPDX-License-Identifier: Apache-2.0
"""Gaussians that follow a deformed surface (spec extraction_evaluation_editing.md, 3.7.3 to 3.7.5). No gradients."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .arguments import check_device, check_tensor, kernel_ready
from .drivers import driver


class Decomposed(NamedTuple):
    """A V = U diag(S): the singular value decomposition, unsorted."""

    U: Tensor   # [N, 3, 3] orthogonal; its determinant has the sign that was asked for
    S: Tensor   # [N, 3] >= 0
    V: Tensor   # [N, 3, 3] rotation


class Carried(NamedTuple):
    """Gaussians where a surface has taken them."""

    F: Tensor           # [N, 3, 3] deformation gradient, rest to world
    means: Tensor       # [N, 3] world
    volumes: Tensor     # [N] |det F|
    opacities: Tensor   # [N] 0 where the surface has collapsed


class Reshaped(NamedTuple):
    """Shape and colours of deformed Gaussians."""

    scales: Tensor    # [N, 3]
    quats: Tensor     # [N, 4] (w, x, y, z)
    sh_rest: Tensor   # [N, K-1, 3]


def decompose(A: Tensor, sign: Tensor | None = None) -> Decomposed:
    """Singular values by one-sided Jacobi rotations: small ones stay exact relative to their own column.

    Args:
        A: [N, 3, 3] float32 or float64.
        sign: [N], +1 or -1: the determinant of U; +1 if None. It only turns the axis of the least singular value.

    Raises:
        ValueError: shapes, dtypes or devices do not agree; the message names the argument.
    """
    check_tensor("A", A, ("N", 3, 3), (torch.float32, torch.float64))
    if sign is not None:
        check_tensor("sign", sign, (len(A),), (A.dtype,))
        check_device(A=A, sign=sign)
        sign = kernel_ready(sign)
    A = kernel_ready(A)
    parts = Decomposed(torch.empty_like(A), A.new_empty(len(A), 3), torch.empty_like(A))
    driver(A).decompose(A, sign, *parts)
    return parts


def turn_harmonics(sh_rest: Tensor, Q: Tensor, degree: int) -> Tensor:
    """Coefficients of f'(d) = f(Q^T d), exactly.

    Args:
        sh_rest: [N, K-1, 3] float32 or float64, in the basis of 3DGS, without the constant.
        Q: [N, 3, 3] orthogonal, reflections too.
        degree: active degree; coefficients beyond it come back as they are.

    Raises:
        ValueError: shapes, dtypes or devices do not agree; the message names the argument.
    """
    _check_harmonics(sh_rest, degree, (torch.float32, torch.float64))
    check_tensor("Q", Q, (len(sh_rest), 3, 3), (sh_rest.dtype,))
    check_device(sh_rest=sh_rest, Q=Q)
    sh_rest = kernel_ready(sh_rest)
    out = torch.empty_like(sh_rest)
    driver(out).turn_harmonics(sh_rest, kernel_ready(Q), degree, out)
    return out


def carry(gradients: Tensor, gone: Tensor, positions: Tensor, groups: Tensor, verts: Tensor, share: Tensor,
          residual: Tensor, object: Tensor, matrices: Tensor, opacities: Tensor) -> Carried:
    """Move Gaussians with the triangles that they are on. All float32; indices int32, in range.

    Args:
        gradients: [G, 3, 3] deformation gradients of corners, in the space of their object.
        gone: [G] bool, whether the surface has collapsed there.
        positions: [V, 3] of the deformed surface, in the space of each object.
        groups, verts: [N, 3] rows of `gradients` and of `positions` of the three corners.
        share: [N, 3] barycentric coordinates.
        residual: [N, 3] from that point to the mean, at rest.
        object: [N], row of `matrices`.
        matrices: [P, 4, 4] object to world.
        opacities: [N].

    Raises:
        ValueError: shapes, dtypes or devices do not agree; the message names the argument.
    """
    check_tensor("gradients", gradients, ("G", 3, 3))
    check_tensor("gone", gone, (len(gradients),), (torch.bool,))
    check_tensor("positions", positions, ("V", 3))
    check_tensor("share", share, ("N", 3))
    count = len(share)
    check_tensor("groups", groups, (count, 3), (torch.int32,))
    check_tensor("verts", verts, (count, 3), (torch.int32,))
    check_tensor("residual", residual, (count, 3))
    check_tensor("object", object, (count,), (torch.int32,))
    check_tensor("matrices", matrices, ("P", 4, 4))
    check_tensor("opacities", opacities, (count,))
    check_device(gradients=gradients, gone=gone, positions=positions, groups=groups, verts=verts, share=share,
                 residual=residual, object=object, matrices=matrices, opacities=opacities)
    out = Carried(share.new_empty(count, 3, 3), torch.empty_like(share), share.new_empty(count),
                  share.new_empty(count))
    stored = gradients, gone.view(torch.uint8), positions, groups, verts, share, residual, object, matrices, opacities
    driver(share).carry(*map(kernel_ready, stored), *out)
    return out


def reshape(F: Tensor, unit: Tensor, object: Tensor, limits: Tensor, on_the_whole: Tensor, scales: Tensor,
            quats: Tensor, sh_rest: Tensor, degree: int) -> Reshaped:
    """Deform Gaussians: covariances become F' Sigma F'^T, harmonics turn with the rotation or reflection in F'.

    F' is F / unit with its singular values held between 1e-4 and the limit. Where it is the identity, scales, quats
    and sh_rest come back to the last bit. All float32; object int32, in range.

    Args:
        F: [N, 3, 3].
        unit: scalar.
        object: [N], row of `limits` and `on_the_whole`.
        limits: [P] the most that F / unit stretches.
        on_the_whole: [P, 3, 3] that turns harmonics where F is so flat that it does not tell how it turns.
        scales, quats, sh_rest, degree: of the Gaussians at rest ([N, 3], [N, 4], [N, K-1, 3]).

    Raises:
        ValueError: shapes, dtypes or devices do not agree; the message names the argument.
    """
    check_tensor("F", F, ("N", 3, 3))
    count = len(F)
    check_tensor("unit", unit, ())
    check_tensor("object", object, (count,), (torch.int32,))
    check_tensor("limits", limits, ("P",))
    check_tensor("on_the_whole", on_the_whole, (len(limits), 3, 3))
    check_tensor("scales", scales, (count, 3))
    check_tensor("quats", quats, (count, 4))
    _check_harmonics(sh_rest, degree, (torch.float32,))
    check_tensor("sh_rest", sh_rest, (count, "K-1", 3))
    check_device(F=F, unit=unit, object=object, limits=limits, on_the_whole=on_the_whole, scales=scales, quats=quats,
                 sh_rest=sh_rest)
    stored = tuple(map(kernel_ready, (scales, quats, sh_rest)))
    out = Reshaped(*map(torch.empty_like, stored))
    driver(F).reshape(*map(kernel_ready, (F, unit, object, limits, on_the_whole)), *stored, degree, *out)
    return out


def _check_harmonics(sh_rest: Tensor, degree: int, dtypes: tuple[torch.dtype, ...]) -> None:
    check_tensor("sh_rest", sh_rest, ("N", "K-1", 3), dtypes)
    if degree not in (0, 1, 2, 3):
        raise ValueError(f"degree must be 0, 1, 2 or 3, not {degree}.")
    terms, needed = sh_rest.shape[1], (degree + 1) ** 2 - 1
    if terms < needed:
        raise ValueError(f"sh_rest holds {terms} coefficients; degree {degree} needs {needed}.")
