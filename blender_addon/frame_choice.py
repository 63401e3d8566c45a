# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames of a moving camera are to become photos; saved in the .blend with the scene."""

from __future__ import annotations

from bpy.props import EnumProperty, IntProperty
from bpy.types import PropertyGroup

CHOICES = (
    ("SHARPEST", "Sharpest", "As many frames as asked for, evenly spread, each the sharpest of its neighbours"),
    ("EVERY", "Every N-th", "One frame in so many, whether sharp or not"),
)


class MILO_PG_frames(PropertyGroup):
    """Which frames are taken."""

    choice: EnumProperty(name="Choose", description="Which frames of moving cameras to take", items=CHOICES)
    count: IntProperty(name="Frames", description="Frames to take of each moving camera", default=100, min=2, max=5000)
    step: IntProperty(name="Every", description="Take one frame in so many", default=10, min=1, max=1000)
