# SPDX-License-Identifier: GPL-3.0-or-later
"""What a .blend keeps about showing splats, on the scene."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, PointerProperty
from bpy.types import PropertyGroup

from .scene.surface import followers

DISPLAY = "milo_display"  # custom property: how an object was displayed before its splats were


def hide_or_show_meshes(settings: MILO_PG_splats, _context: bpy.types.Context) -> None:
    """Display the meshes whose splats are shown as bounds, and all others as they were."""
    for obj in followers(settings.id_data):
        if settings.show and settings.hide_mesh:
            if DISPLAY not in obj:
                obj[DISPLAY], obj.display_type = obj.display_type, "BOUNDS"
        elif DISPLAY in obj:
            obj.display_type = obj.pop(DISPLAY)


class MILO_PG_splats(PropertyGroup):
    """How splats are shown in a scene."""

    show: BoolProperty(
        name="Show Splats",
        description="Draw the splats in the 3D Views, among the other objects",
        update=hide_or_show_meshes,
    )
    hide_mesh: BoolProperty(
        name="Hide Mesh",
        description="Draw bounds instead of the mesh while its splats are shown. It can be posed as before",
        default=True,
        update=hide_or_show_meshes,
    )
    frame_of: PointerProperty(
        name="Frame Of",
        description="The scene whose camera and frame this one follows: it draws the splats for that scene's picture",
        type=bpy.types.Scene,
    )
    composited: BoolProperty(name="Composited", description="Whether the pictures of that scene were composited before")
    used_nodes: BoolProperty(name="Used Nodes", description="Whether that scene used its compositor nodes before")


def register() -> None:
    bpy.utils.register_class(MILO_PG_splats)
    bpy.types.Scene.milo_splats = PointerProperty(type=MILO_PG_splats)


def unregister() -> None:
    del bpy.types.Scene.milo_splats
    bpy.utils.unregister_class(MILO_PG_splats)
