# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel about splats that stay with the .blend."""

from __future__ import annotations

from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, Panel

from .. import session
from ..scene import stored_splats
from .look import MiloPanel, draw_text, side_by_side


class MILO_PT_stored(MiloPanel, Panel):
    bl_idname = "MILO_PT_stored"
    bl_parent_id = "MILO_PT_main"
    bl_label = "Stored Splats"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, work = self.layout, session.current().storing
        stored = stored_splats.find(context.scene, context.scene.milo.job)
        if stored is not None and stored.folder:
            missing = stored_splats.folder_of(stored) is None
            layout.label(text=stored.folder, icon="ERROR" if missing else "FILE_FOLDER")
        if stored is not None and stored.packed:
            layout.label(text="Packed into the .blend", icon="PACKAGE")
        if work.busy:
            stage, share = work.progress
            layout.progress(factor=share, text=iface_(stage))
        else:
            layout.operator_menu_enum("milo.save_splats", "format", icon="FILE_TICK")
        row = side_by_side(layout, context)
        row.operator("milo.pack_splats", icon="PACKAGE")
        row.operator("milo.unpack_splats", icon="UGLYPACKAGE")
        layout.operator("milo.restore_splats", icon="IMPORT")
        if work.problem:
            box = layout.box().column(align=True)
            draw_text(box, context, work.problem.message, "ERROR", alert=True)
            draw_text(box, context, work.problem.hint, "BLANK1")


CLASSES = (MILO_PT_stored,)
