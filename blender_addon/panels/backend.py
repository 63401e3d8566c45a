# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend: its line at the top of the tab, how to install one, and a panel with what it is and says."""

from __future__ import annotations

from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, Panel, UILayout

from .. import preferences, session
from ..connection import install
from ..connection.backend import READY, STOPPED
from .look import MiloPanel, draw_label, draw_text, is_narrow

STATE_ICON = {"stopped": "UNLINKED", "starting": "SORTTIME", "ready": "LINKED", "stopping": "SORTTIME"}


def draw_backend(layout: UILayout, context: Context, now: session.Session) -> None:
    """State and switch; without a backend on this computer, how to come by one."""
    state, mine = now.backend.state, preferences.get()
    chosen = mine.saved.get(mine.chosen)
    local = chosen is None or bool(chosen.program)
    home = preferences.home()
    missing = install.why_missing(preferences.program(home), home) if state == STOPPED and local else None
    row = layout.column() if is_narrow(context) else layout.split(factor=0.7)
    if missing and not now.pairing.address:
        row.label(text="No backend", icon=STATE_ICON[state])
        row.menu("MILO_MT_backends", text="Choose")
        draw_missing(layout.box(), context, missing.message)
        return
    words_for_it = now.backend.device if state == READY and now.backend.device else iface_(state)
    name = mine.chosen if chosen is not None else iface_("Backend")
    if now.pairing.address:
        draw_label(row, context, iface_("Pairing with {}").format(now.pairing.address), "SORTTIME")
    else:
        draw_label(row, context, f"{name}: {words_for_it}", STATE_ICON[state])
    if state == STOPPED:
        row.operator("milo.start_backend", text="Start" if local else "Connect")
    else:
        row.operator("milo.stop_backend", text="Disconnect" if now.backend.remote else "Stop")


def draw_missing(layout: UILayout, context: Context, why: str) -> None:
    draw_text(layout, context, why, "INFO")
    draw_text(layout, context, iface_("To install one, give this command in a terminal, in the folder of MILo:"))
    row = layout.row(align=True)
    row.label(text=install.COMMAND, translate=False)
    row.operator("milo.copy_install_command", text="", icon="COPYDOWN")
    draw_text(layout, context, iface_("Then choose the program {} of that folder.").format(install.PROGRAM))
    layout.operator("milo.add_backend", icon="FILE_FOLDER")
    layout.operator("milo.pair", icon="NETWORK_DRIVE")


class MILO_PT_backend(MiloPanel, Panel):
    bl_idname = "MILO_PT_backend"
    bl_parent_id = "MILO_PT_main"
    bl_label = "Backend"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, now, mine = self.layout, session.current(), preferences.get()
        chosen = mine.chosen if mine.chosen in mine.saved else ""
        row = layout.row()
        row.enabled = now.backend.state == STOPPED
        row.menu("MILO_MT_backends", text=chosen or preferences.THIS_COMPUTER, icon=preferences.icon(chosen))
        if now.backend.state == READY:
            draw_text(layout, context, now.backend.device or "Asking what it computes with", "MEMORY")
            layout.label(text=iface_("Version {}").format(now.backend.server_version), icon="INFO")
            if now.backend.server_version not in (now.backend.version, "development"):
                draw_text(layout, context, iface_("This extension is version {}: install the same release of both if "
                                                  "something fails").format(now.backend.version), "ERROR")
        if now.job_info is not None and now.job_info.note and now.job_state in session.ACTIVE:
            draw_text(layout, context, now.job_info.note, "INFO")
        layout.operator("milo.show_log", icon="TEXT")


CLASSES = (MILO_PT_backend,)
