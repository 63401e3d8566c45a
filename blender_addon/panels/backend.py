# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend's own panel: which one, what it computes with, what it says."""

from __future__ import annotations

from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, Panel

from .. import preferences, session
from ..connection.backend import READY, STOPPED
from .look import MiloPanel, draw_text


class MILO_PT_backend(MiloPanel, Panel):
    bl_idname = "MILO_PT_backend"
    bl_parent_id = "MILO_PT_main"
    bl_label = "Backend"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, now, mine = self.layout, session.current(), preferences.get()
        if mine.remotes:
            row = layout.row()
            row.enabled = now.backend.state == STOPPED
            row.prop_search(mine, "chosen", mine, "remotes", text="", icon="NETWORK_DRIVE")
        if now.backend.state == READY:
            draw_text(layout, context, now.backend.device or "Asking what it computes with", "MEMORY")
            layout.label(text=iface_("Version {}").format(now.backend.server_version), icon="INFO")
        layout.operator("milo.show_log", icon="TEXT")


CLASSES = (MILO_PT_backend,)
