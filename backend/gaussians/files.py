# SPDX-License-Identifier: Apache-2.0
"""Gaussians to and from the splat files other programs read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from milo.backend.data.ply import SplatColumns, read_splats, write_splats
from milo.backend.data.spz import read_spz

from .model import Gaussians

_COLUMNS = {"means": "means", "sh_dc": "sh_dc", "sh_rest": "sh_rest", "opacities": "opacity_logits",
            "scales": "log_scales", "quats": "quats", "filter_3d": "filter_3d", "base_occupancy": "base_occupancy",
            "occupancy_shift": "occupancy_shift"}   # column -> our name


def save_gaussians(path: str | Path, gaussians: Gaussians) -> None:
    """Write a PLY with the columns of 3DGS, and with the 3D filter and the occupancy (spec training.md 2.9)."""
    tensors = gaussians.tensors()
    write_splats(path, SplatColumns(**{column: tensors[name].cpu().numpy() for column, name in _COLUMNS.items()}))


def read_columns(path: str | Path) -> SplatColumns:
    """Read a PLY with the columns of 3DGS, or an SPZ.

    Raises:
        milo.backend.data.errors.SceneError: not such a file.
    """
    return read_spz(path) if Path(path).suffix == ".spz" else read_splats(path)


def load_gaussians(path: str | Path) -> Gaussians:
    """Read a PLY with the columns of 3DGS, or an SPZ; a missing 3D filter or occupancy is zero.

    Raises:
        milo.backend.data.errors.SceneError: not such a file.
    """
    columns = read_columns(path)
    count = len(columns.means)
    missing = {"filter_3d": (count,), "base_occupancy": (count, 9), "occupancy_shift": (count, 9)}
    tensors = {}
    for column, name in _COLUMNS.items():
        values = getattr(columns, column)
        tensors[name] = torch.from_numpy(np.zeros(missing[column], np.float32) if values is None else values.copy())
    return Gaussians(tensors, columns.sh_degree)


def drawn_columns(path: str | Path) -> SplatColumns:
    """The Gaussians of a file as they are drawn: with the 3D filter in their sizes and opacities, for files that have
    no room for it."""
    drawn = load_gaussians(path).splats().detach()
    return replace(read_columns(path), scales=drawn.scales.log().numpy(),
                   opacities=torch.logit(drawn.opacities, 1e-6).numpy(), filter_3d=None, base_occupancy=None,
                   occupancy_shift=None)
