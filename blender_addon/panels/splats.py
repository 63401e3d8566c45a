# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel of what the splats are for: pictures."""

from __future__ import annotations

from bpy.types import Context, Panel

from .. import live_view
from ..scene import composite
from .look import MiloPanel, draw_text


class MILO_PT_splats(MiloPanel, Panel):
    bl_idname = "MILO_PT_splats"
    bl_parent_id = "MILO_PT_main"
    bl_label = "Splats"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, settings = self.layout, context.scene.milo_splats
        layout.prop(settings, "show", toggle=True, icon="HIDE_OFF" if settings.show else "HIDE_ON")
        if settings.show:
            layout.prop(settings, "hide_mesh")
            for problem in {view.problem for view in live_view.views() if view.problem}:
                draw_text(layout, context, problem, "ERROR", alert=True)
        row = layout.row(align=True)
        row.operator("milo.composite_splats", icon="NODE_COMPOSITING")
        if composite.splat_scene(context.scene) is not None:
            row.operator("milo.remove_composite", text="", icon="X")
        layout.operator("milo.render_splats", icon="RENDER_STILL")
        layout.operator("milo.save_animation", icon="RENDER_ANIMATION")


CLASSES = (MILO_PT_splats,)
