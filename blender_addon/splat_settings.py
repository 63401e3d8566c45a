# SPDX-License-Identifier: GPL-3.0-or-later
"""What a .blend keeps about showing splats, on the scene."""

from __future__ import annotations

import bpy
from bpy.props import PointerProperty
from bpy.types import PropertyGroup


class MILO_PG_splats(PropertyGroup):
    """How splats are shown in a scene."""

    frame_of: PointerProperty(
        name="Frame Of",
        description="The scene whose camera and frame this one follows: it draws the splats for that scene's picture",
        type=bpy.types.Scene,
    )


def register() -> None:
    bpy.utils.register_class(MILO_PG_splats)
    bpy.types.Scene.milo_splats = PointerProperty(type=MILO_PG_splats)


def unregister() -> None:
    del bpy.types.Scene.milo_splats
    bpy.utils.unregister_class(MILO_PG_splats)
