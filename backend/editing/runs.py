# SPDX-License-Identifier: Apache-2.0
"""What a run brings along to be deformed."""

from __future__ import annotations

from pathlib import Path

from milo.backend.data.ply import read_mesh
from milo.backend.gaussians.files import load_gaussians

from .binding import Source


def source_of(splats: Path, mesh: Path) -> Source:
    """Gaussians of a splat PLY or SPZ, and where they belong on the mesh that was extracted with them.

    Raises:
        milo.backend.data.errors.SceneError: a file is missing or damaged.
    """
    verts, faces, _ = read_mesh(mesh)
    return Source.of(load_gaussians(splats).splats(), verts, faces)
