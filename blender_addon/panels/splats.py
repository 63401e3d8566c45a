# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel of what the splats are for: pictures."""

from __future__ import annotations

from bpy.types import Context, Panel

from ..scene import composite
from .look import MiloPanel


class MILO_PT_splats(MiloPanel, Panel):
    bl_idname = "MILO_PT_splats"
    bl_parent_id = "MILO_PT_main"
    bl_label = "Splats"

    def draw(self, context: Context) -> None:
        layout = self.layout
        row = layout.row(align=True)
        row.operator("milo.composite_splats", icon="NODE_COMPOSITING")
        if composite.splat_scene(context.scene) is not None:
            row.operator("milo.remove_composite", text="", icon="X")
        layout.operator("milo.render_splats", icon="RENDER_STILL")
        layout.operator("milo.save_animation", icon="RENDER_ANIMATION")


CLASSES = (MILO_PT_splats,)
