# SPDX-License-Identifier: Apache-2.0
"""The true size of a scene, from one known distance."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from milo.backend.data.colmap import find_model
from milo.backend.data.colmap_scale import scale_model

from .options import AlignError


def scale_scene(scene: Path, start: Sequence[float], end: Sequence[float], distance: float) -> float:
    """Scale a scene's cameras and points so that `start` and `end` (scene units) are `distance` metres apart.

    Returns:
        the factor.

    Raises:
        SceneError: there is no binary COLMAP model, the points coincide, or the distance is no positive number.
    """
    measured = math.dist(start, end)
    if not (math.isfinite(measured) and measured > 0):
        raise AlignError(scene, "the two points are the same", "Choose two points that are apart")
    if not (math.isfinite(distance) and distance > 0):
        raise AlignError(scene, f"the distance {distance} is not a positive number", "Give it in metres")
    factor = distance / measured
    scale_model(find_model(scene), factor)
    about = scene / "alignment.json"
    if about.is_file():
        content = json.loads(about.read_text(encoding="utf-8"))
        moved = np.array(content["similarity"]) * factor
        content |= {"metres": True, "similarity": moved.tolist()}
        about.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return factor
