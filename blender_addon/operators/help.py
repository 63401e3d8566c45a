# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual, which is part of the extension: it opens without a network."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.types import Operator

MANUAL = Path(__file__).parents[1] / "manual.md"
HELP_TEXT = "MILo manual"


class MILO_OT_help(Operator):
    """Put the manual into the text "MILo manual", and show it in a text editor of its own"""

    bl_idname = "milo.help"
    bl_label = "MILo Manual"

    def execute(self, context: bpy.types.Context) -> set[str]:
        text = bpy.data.texts.get(HELP_TEXT) or bpy.data.texts.new(HELP_TEXT)
        text.from_string(MANUAL.read_text(encoding="utf-8").partition("\n")[2])
        text.cursor_set(0)
        if not bpy.app.background:
            bpy.ops.wm.window_new()
            area = context.window_manager.windows[-1].screen.areas[0]
            area.type = "TEXT_EDITOR"
            area.spaces.active.text, area.spaces.active.show_word_wrap = text, True
        return {"FINISHED"}


CLASSES = (MILO_OT_help,)
