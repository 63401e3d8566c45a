# SPDX-License-Identifier: GPL-3.0-or-later
"""The region of interest."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from ..scene import region


class MILO_OT_add_region(Operator):
    """Add a box: outside of it there will be no mesh. Move, turn and scale it over the subject"""

    bl_idname = "milo.add_region"
    bl_label = "Add Region"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode != "OBJECT":
            cls.poll_message_set("Only in Object Mode")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.view_layer.update()
        box = region.add(context.scene)
        for obj in context.selected_objects:
            obj.select_set(False)
        box.select_set(True)
        context.view_layer.objects.active = box
        return {"FINISHED"}


CLASSES = (MILO_OT_add_region,)
