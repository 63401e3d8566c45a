# SPDX-License-Identifier: Apache-2.0
"""Many 3x3 matrices at once: singular values by Jacobi rotations, rotations as quaternions. CPU and CUDA alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

SWEEPS = 4
CPU_ROWS = 4096     # at once: intermediate results stay in the cache, and in memory that is already there


def in_pieces(function: Callable[..., tuple[Tensor, ...]], *columns: Tensor) -> tuple[Tensor, ...]:
    """function(*columns), whose rows do not depend on each other; piece by piece on a CPU."""
    count = len(columns[0])
    if columns[0].is_cuda or count <= CPU_ROWS:
        return function(*columns)
    pieces = [function(*piece) for piece in zip(*(column.split(CPU_ROWS) for column in columns))]
    return tuple(torch.cat(parts) for parts in zip(*pieces))


class Columns(NamedTuple):
    """A V = U diag(S): the singular value decomposition, unsorted."""

    U: Tensor   # [N, 3, 3] orthogonal; its determinant has the sign that was asked for
    S: Tensor   # [N, 3] >= 0
    V: Tensor   # [N, 3, 3] rotation


def decompose(A: Tensor, sign: Tensor | None = None) -> Columns:
    """One-sided Jacobi: columns are turned in pairs until they are orthogonal, which keeps small singular values exact
    relative to their own column (flat Gaussians), also in float32.

    Args:
        A: [N, 3, 3].
        sign: [N], +1 or -1: the determinant of U; +1 if None. It only turns the axis of the least singular value.
    """
    size = A.abs().amax((1, 2)).clamp_min(torch.finfo(A.dtype).tiny)
    a = [column.contiguous() for column in (A / size[:, None, None]).permute(2, 1, 0)]      # three of [3, N]
    v = [column.contiguous() for column in torch.eye(3, dtype=A.dtype, device=A.device)[:, :, None].expand(
        3, 3, len(A))]
    for _ in range(SWEEPS):
        for p, q in ((0, 1), (0, 2), (1, 2)):
            first, second, off = (a[p] * a[p]).sum(0), (a[q] * a[q]).sum(0), 2 * (a[p] * a[q]).sum(0)
            # What is below rounding is zero: left alone it sinks into denormal numbers, which CPUs take ages over.
            off = torch.where(off.abs() <= 1e-8 * torch.sqrt(first * second), 0.0, off)
            gap = second - first
            below = gap + torch.copysign(torch.sqrt(gap * gap + off * off), gap)
            tangent = torch.where(off == 0, 0.0, off / below)
            cosine = torch.rsqrt(1 + tangent * tangent)
            sine = tangent * cosine
            for of in (a, v):
                of[p], of[q] = cosine * of[p] - sine * of[q], sine * of[p] + cosine * of[q]
    B = torch.stack(a, 2).transpose(0, 1)      # [N, row, column]
    S = B.norm(dim=1)
    U = B / S.clamp_min(1e-30)[:, None]
    return Columns(_complete(U, S, sign), S * size[:, None], torch.stack(v, 2).transpose(0, 1))


def _complete(U: Tensor, S: Tensor, sign: Tensor | None) -> Tensor:
    """U with the column of the least singular value made from the others; where two vanish, from the remaining one."""
    least = S.argmin(1)
    rows = torch.arange(3, device=U.device)
    order = (least[:, None] + 1 + rows) % 3                       # cyclic, the least one last
    first, second = (U.gather(2, order[:, None, k:k + 1].expand(-1, 3, 1))[..., 0] for k in (0, 1))
    lengths = S.gather(1, order)
    swap = lengths[:, 1] > lengths[:, 0]
    # Both may vanish (a needle): an axis across the longer one serves.
    longer = torch.where(swap[:, None], second, first)
    longer = torch.where((longer.norm(dim=1) > 0.5)[:, None], longer, U.new_tensor([1.0, 0.0, 0.0]))
    shorter = torch.where(swap[:, None], first, second)
    across = torch.zeros_like(longer).scatter_(1, longer.abs().argmin(1, keepdim=True), 1.0)
    thin = torch.minimum(lengths[:, 0], lengths[:, 1]) <= 1e-6 * torch.maximum(lengths[:, 0], lengths[:, 1])
    shorter = torch.where(thin[:, None], across, shorter)
    shorter = shorter - (shorter * longer).sum(1, keepdim=True) * longer
    shorter = shorter / shorter.norm(dim=1, keepdim=True)
    first, second = (torch.where(swap[:, None], *pair) for pair in ((shorter, longer), (longer, shorter)))
    third = torch.linalg.cross(first, second)
    if sign is not None:
        third = third * sign[:, None]
    place = torch.empty_like(order).scatter_(1, order, rows.expand_as(order))
    return torch.stack([first, second, third], 2).gather(2, place[:, None].expand(-1, 3, 3))


def to_matrices(quats: Tensor) -> Tensor:
    """Rotations [N, 3, 3] of quaternions [N, 4] (w, x, y, z) of any length."""
    w, x, y, z = (quats / quats.norm(dim=1, keepdim=True).clamp_min(1e-12)).unbind(1)
    return torch.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ], 1).reshape(-1, 3, 3)  # fmt: skip


def to_quats(R: Tensor) -> Tensor:
    """Unit quaternions [N, 4] (w, x, y, z) of rotations [N, 3, 3]."""
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(1) for row in R.unbind(1))
    squares = torch.stack([1 + a + e + i, 1 + a - e - i, 1 - a + e - i, 1 - a - e + i], 1)     # 4 q_k^2
    products = torch.stack([
        squares[:, 0], h - f, c - g, d - b,
        h - f, squares[:, 1], d + b, c + g,
        c - g, d + b, squares[:, 2], h + f,
        d - b, c + g, h + f, squares[:, 3],
    ], 1).reshape(-1, 4, 4)  # fmt: skip
    largest = squares.argmax(1)[:, None, None].expand(-1, 1, 4)
    quats = products.gather(1, largest)[:, 0]
    return quats / quats.norm(dim=1, keepdim=True)
