# SPDX-License-Identifier: Apache-2.0
"""What a reconstruction tells whoever watches: a stream of these."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

Stage = Literal["loading", "splats", "mesh", "refine", "colours", "saving"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of work."""

    stage: Stage
    iteration: int            # of the stage's `iterations`: of the whole training in "splats" and "mesh"
    iterations: int
    loss: float | None        # None where it was not read
    gaussians: int
    vertices: int             # of the mesh of this or the last mesh iteration; 0 before there is one
    eta_s: float | None       # seconds until all is done, as far as this can be known
    psnr: float | None        # dB on the held-out views, when last evaluated


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the user, such as how much memory will be needed, and where the work is done."""

    text: str
    device: str


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A mesh to look at, in the scene's own world frame."""

    kind: Literal["provisional", "live", "final"]
    iteration: int
    verts: np.ndarray         # [V, 3] float32
    faces: np.ndarray         # [F, 3] int32
    colors: np.ndarray        # [V, 3] uint8
    preview: np.ndarray | None   # [H, W, 3] uint8: the Gaussians from the first camera
    photo: np.ndarray | None = None     # [H, W, 3] uint8: the photo of that camera, as training sees it


@dataclass(frozen=True, slots=True)
class Finished:
    """The end: files written, or stopped with a checkpoint from which to resume."""

    splats: Path
    mesh: Path
    seconds: dict[str, float]    # by stage, over all sessions of this run
    psnr: float | None           # dB on the held-out views
    stopped: bool


Event = Notice | Progress | Snapshot | Finished
