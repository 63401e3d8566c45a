# SPDX-License-Identifier: GPL-3.0-or-later
"""The region of interest: an Empty cube. What lies outside gets no mesh."""

from __future__ import annotations

import bpy
import numpy as np

from . import solved

NAME = "MILo region"
SPREAD = 2.0, 98.0  # percentiles of the sparse points that a new box holds


def add(scene: bpy.types.Scene) -> bpy.types.Object:
    """An Empty cube around most of the sparse points, or of 1 m at the origin without any."""
    box = bpy.data.objects.new(NAME, None)
    box.empty_display_type, box.empty_display_size = "CUBE", 1.0
    box.show_name = True
    scene.collection.objects.link(box)
    points, _ = solved.sparse_points(scene)
    if points is not None:
        low, high = np.percentile(points, SPREAD, axis=0)
        box.location = ((low + high) / 2).tolist()
        box.scale = np.maximum((high - low) / 2, 1e-3).tolist()
    else:
        box.scale = (0.5, 0.5, 0.5)
    scene.milo.region = box
    return box


def is_box(_settings: object, obj: bpy.types.Object) -> bool:
    """Whether an object can be a region: an Empty (of any look; a cube shows what it holds)."""
    return obj.type == "EMPTY"


def settings(scene: bpy.types.Scene) -> dict[str, object]:
    """The region as settings of a reconstruction; empty without one. The cube's size is part of the matrix."""
    box = scene.milo.region
    if box is None:
        return {}
    matrix = np.array(box.matrix_world)
    matrix[:3, :3] *= box.empty_display_size
    return {"region.box": matrix.ravel().tolist(), "region.keep_background": scene.milo.keep_background}
