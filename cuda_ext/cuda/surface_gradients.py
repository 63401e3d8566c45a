# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from .runtime import blocks, load


def triangle_gradients(positions, faces, duals, normals, areas, good, flip, normal_stretch, F, weights):
    _launch("triangle_gradients", F, positions, faces, duals, normals, areas, good, flip, normal_stretch, len(F), F,
            weights)


def vertex_gradients(F, weights, begins, incident, out, totals):
    _launch("vertex_gradients", out, F, weights, begins, incident, len(out), out, totals)


def _launch(kernel, out, *args):
    load("surface_gradients.cu", out.device).launch(kernel, blocks(len(out), 128), 128, *args)
