# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .runtime import blocks, load


def decompose(A, sign, U, S, V):
    _launch("decompose", A, len(A), A, sign, len(A), U, S, V)


def turn_harmonics(sh_rest, Q, degree, out):
    _launch("turn_harmonics", Q, len(Q), sh_rest, Q, len(Q), sh_rest.shape[1], degree, out)


def carry(gradients, gone, positions, groups, verts, share, residual, object, matrices, opacities, *out):
    _launch("carry", share, len(object), gradients, gone, positions, groups, verts, share, residual, object, matrices,
            opacities, len(object), *out)


def reshape(F, unit, object, limits, on_the_whole, scales, quats, sh_rest, degree, *out):
    _launch("reshape", F, len(F), F, unit, object, limits, on_the_whole, scales, quats, sh_rest, len(F),
            sh_rest.shape[1], degree, *out)


def _launch(kernel, floats, count, *args):
    load("deformation.cu", floats.device, floats.dtype).launch(kernel, blocks(count, 128), 128, *args)
