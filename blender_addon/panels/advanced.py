# SPDX-License-Identifier: GPL-3.0-or-later
"""The Advanced panel: every option of the backend, section by section, over what the preset says."""

from __future__ import annotations

from bpy.types import Context, Panel

from .. import options
from ..operators.options import present
from .look import MiloPanel, draw_text


class MILO_PT_settings(MiloPanel, Panel):
    bl_idname = "MILO_PT_settings"
    bl_parent_id = "MILO_PT_main"
    bl_label = "Advanced"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, choices = self.layout, context.scene.milo
        try:
            mine = options.parse(choices.overrides)
        except ValueError as error:
            mine = {}
            draw_text(layout, context, str(error), "ERROR", alert=True)
        layout.prop(choices, "option_section", text="")
        column = layout.column(align=True)
        for option in options.all_options().values():
            if option.section != choices.option_section:
                continue
            row = column.split(factor=0.6, align=True)
            row.label(text=option.name.replace("_", " ").capitalize())
            value = mine.get(option.key, present(choices.preset, option.key))
            text = "On" if value is True else "Off" if value is False else options.written(value)
            button = row.operator("milo.set_option", text=text, depress=option.key in mine)
            button.key, button.value = option.key, ""
        layout.label(text="Changed:" if mine else "All as the preset has them")
        layout.prop(choices, "overrides", text="")


CLASSES = (MILO_PT_settings,)
