# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel that makes an asset of a reconstruction."""

from __future__ import annotations

from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, Panel

from .. import session
from ..scene import asset
from . import words
from .look import MiloPanel, draw_text, is_narrow


class MILO_PT_finish(MiloPanel, Panel):
    bl_idname = "MILO_PT_finish"
    bl_parent_id = "MILO_PT_main"
    bl_label = "Finish"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, choices, work = self.layout, context.scene.milo_finish, session.current().finishing
        layout.use_property_split = not is_narrow(context)
        layout.use_property_decorate = False
        column = layout.column()
        column.enabled = not work.busy
        for name in ("triangles", "texture", "normal_map", "levels", "source", "balance", "unit", "up", "origin"):
            column.prop(choices, name)
        row = layout.row(align=True)
        if work.busy:
            stage, share = work.progress
            row.progress(factor=share, text=iface_(words.stage(stage)))
            row.operator("milo.cancel_finish", text="", icon="CANCEL")
        else:
            row.operator("milo.finish", icon="SHADING_TEXTURE")
        if work.waiting:
            layout.label(text=work.waiting, icon="INFO")
        if work.problem:
            box = layout.box().column(align=True)
            draw_text(box, context, work.problem.message, "ERROR", alert=True)
            draw_text(box, context, work.problem.hint, "BLANK1")
        if work.notice:
            draw_text(layout, context, work.notice, "INFO")
        finest = asset.find(context.scene.milo.job)
        if finest is not None:
            text = iface_("{}: {} triangles").format(finest.name, words.count(len(finest.data.polygons)))
            layout.label(text=text, icon="MESH_DATA")
            layout.operator_menu_enum("milo.export_asset", "format", icon="EXPORT")


CLASSES = (MILO_PT_finish,)
