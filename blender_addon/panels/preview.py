# SPDX-License-Identifier: GPL-3.0-or-later
"""The Preview panel: a photo and its rendering side by side, the course of loss and PSNR."""

from __future__ import annotations

from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, Panel

from .. import session
from ..scene import pictures
from .look import MiloPanel

UNIT_PX = 20.0  # of the layout, at a scale of 1


class MILO_PT_preview(MiloPanel, Panel):
    bl_idname = "MILO_PT_preview"
    bl_parent_id = "MILO_PT_main"
    bl_label = "Preview"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return session.current().job_info is not None

    def draw(self, context: Context) -> None:
        now = session.current()
        now.preview.look()
        half = (context.region.width / context.preferences.system.ui_scale - 50) / 2 / UNIT_PX
        scale = min(12.0, max(2.0, half))
        layout, shown = self.layout, now.preview.shown
        if shown is None:
            layout.label(text="A picture comes with the first mesh", icon="IMAGE_DATA")
        else:
            row = layout.row(align=True)
            iteration = iface_("Iteration {}").format(shown.iteration)
            for name, text in (("photo", iface_("Photo")), ("rendering", iteration)):
                column = row.column(align=True)
                column.template_icon(pictures.icon(name), scale=scale)
                column.label(text=text)
        if now.preview.course.losses:
            row = layout.split(factor=0.5)
            row.template_icon(pictures.icon("curve"), scale=scale)
            column = row.column(align=True)
            column.label(text="Loss", icon="COLORSET_02_VEC")
            if now.preview.course.psnrs:
                column.label(text="PSNR", icon="COLORSET_04_VEC")
        layout.operator("milo.show_preview", icon="IMAGE")


CLASSES = (MILO_PT_preview,)
