# SPDX-License-Identifier: Apache-2.0
"""Points coloured by how far they are from where they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from milo.backend.data.ply import write_points

RAMP = np.array([[38, 70, 160], [70, 180, 190], [245, 225, 90], [230, 90, 40], [150, 10, 20]], float)   # near to far


def write_error_cloud(path: Path, points: np.ndarray, distances: np.ndarray, cap: float) -> None:
    """Write points [P, 3] as a PLY, blue where the distance [P] is 0 to dark red where it is `cap` or more."""
    place = np.clip(distances / cap, 0, 1) * (len(RAMP) - 1)
    colors = np.stack([np.interp(place, np.arange(len(RAMP)), RAMP[:, channel]) for channel in range(3)], axis=1)
    write_points(path, points.astype(np.float32), np.rint(colors).astype(np.uint8))
