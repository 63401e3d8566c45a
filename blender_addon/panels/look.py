# SPDX-License-Identifier: GPL-3.0-or-later
"""What all panels of the tab share."""

from __future__ import annotations

from bpy.types import Context, UILayout

from . import words


class MiloPanel:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "MILo"


def draw_text(layout: UILayout, context: Context, text: str, icon: str = "NONE", alert: bool = False) -> None:
    """A text over as many lines as the sidebar needs; the icon before the first."""
    column = layout.column(align=True)
    for i, line in enumerate(words.wrapped(text, context.region.width, context.preferences.system.ui_scale)):
        row = column.row()
        row.alert = alert
        row.label(text=line, icon=icon if i == 0 or icon == "NONE" else "BLANK1")
