# SPDX-License-Identifier: Apache-2.0
"""What an extraction yields: steps for whoever watches, then the mesh. To cancel one, stop asking."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ExtractStep(NamedTuple):
    """One step of the work that is going on."""

    stage: str            # "refine", "field", "bisect 1/8", "air", "depths", "fuse"
    iteration: int        # of the stage's `iterations`, from 1
    iterations: int
    loss: float | None    # where there is one
    vertices: int         # of the mesh so far; 0 before there is one


class ColoredMesh(NamedTuple):
    """A finished mesh in world units."""

    verts: Tensor    # [V, 3] float32
    faces: Tensor    # [F, 3] int32
    colors: Tensor   # [V, 3] uint8
