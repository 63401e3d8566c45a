# SPDX-License-Identifier: GPL-3.0-or-later
"""What all panels of the tab share."""

from __future__ import annotations

from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, UILayout

from . import words

NARROW_PX = 230


class MiloPanel:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "MILo"


def is_narrow(context: Context) -> bool:
    """Whether the sidebar has no room for two buttons with words beside one another."""
    return context.region.width < NARROW_PX * context.preferences.system.ui_scale


def side_by_side(layout: UILayout, context: Context) -> UILayout:
    """A row; where the sidebar is narrow, a column."""
    return layout.column(align=True) if is_narrow(context) else layout.row(align=True)


def draw_label(layout: UILayout, context: Context, text: str, icon: str) -> None:
    """A short text; over several lines where the sidebar is narrow."""
    if is_narrow(context):
        draw_text(layout, context, text, icon)
    else:
        layout.label(text=text, icon=icon)


def draw_text(layout: UILayout, context: Context, text: str, icon: str = "NONE", alert: bool = False) -> None:
    """A text, translated, over as many lines as the sidebar needs; the icon before the first."""
    column = layout.column(align=True)
    for i, line in enumerate(words.wrapped(iface_(text), context.region.width, context.preferences.system.ui_scale)):
        row = column.row()
        row.alert = alert
        row.label(text=line, icon=icon if i == 0 or icon == "NONE" else "BLANK1")
