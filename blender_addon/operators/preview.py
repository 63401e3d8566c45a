# SPDX-License-Identifier: GPL-3.0-or-later
"""The live preview in an image editor."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from .. import session
from ..scene import pictures


class MILO_OT_show_preview(Operator):
    """Show the photo and the splats side by side in an image editor, kept up to date while they train"""

    bl_idname = "milo.show_preview"
    bl_label = "Open Preview"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        there = session.current().preview.shown is not None
        if not there:
            cls.poll_message_set("There is no picture yet")
        return there

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().preview.open()
        image = bpy.data.images[pictures.BESIDE]
        editors = [area for window in context.window_manager.windows for area in window.screen.areas
                   if area.type == "IMAGE_EDITOR"]
        if not editors and not bpy.app.background:
            bpy.ops.wm.window_new()
            editors = [context.window_manager.windows[-1].screen.areas[0]]
            editors[0].type = "IMAGE_EDITOR"
        for area in editors[:1]:
            area.spaces.active.image = image
        return {"FINISHED"}


CLASSES = (MILO_OT_show_preview,)
