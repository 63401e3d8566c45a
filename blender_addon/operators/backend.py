# SPDX-License-Identifier: GPL-3.0-or-later
"""Start and stop the local backend; poll for scripts."""

from __future__ import annotations

import bpy
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.types import Operator

from .. import preferences, session
from ..connection.backend import READY, STARTING, STOPPED
from ..connection.backend_process import log_tail
from ..protocol.messages import TailLog
from .explained import Explained

LOG_TEXT = "MILo log"


class MILO_OT_start_backend(Explained, Operator):
    """Start the compute backend on this computer, or connect to the one that runs already"""

    bl_idname = "milo.start_backend"
    bl_label = "Start Backend"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        state = session.current().backend.state
        return "" if state == STOPPED else rpt_("The backend is {}").format(rpt_(state))

    def work(self, context: bpy.types.Context) -> None:
        session.current().start_backend()


class MILO_OT_stop_backend(Explained, Operator):
    """End the compute backend. Running reconstructions are saved and can be resumed"""

    bl_idname = "milo.stop_backend"
    bl_label = "Stop Backend"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        state = session.current().backend.state
        return "" if state in (READY, STARTING) else rpt_("The backend is {}").format(rpt_(state))

    def work(self, context: bpy.types.Context) -> None:
        session.current().stop_backend()


class MILO_OT_poll(Operator):
    """Take in what the backend has sent. Blender does this by itself; scripts in background call it"""

    bl_idname = "milo.poll"
    bl_label = "Poll the Backend"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().poll()
        return {"FINISHED"}


class MILO_OT_show_log(Operator):
    """Write the end of the backend's log into the text "MILo log", and show it in text editors"""

    bl_idname = "milo.show_log"
    bl_label = "Show Log"

    def execute(self, context: bpy.types.Context) -> set[str]:
        now = session.current()
        if now.backend.state == READY:
            now.ask(TailLog(now.job), lambda log: show_log(log.text))
        else:
            show_log(log_tail(preferences.home()))
        self.report({"INFO"}, rpt_('The log is in the text "{}"').format(LOG_TEXT))
        return {"FINISHED"}


def show_log(text: str) -> None:
    """Put the log into its text, and into text editors that show nothing else."""
    log = bpy.data.texts.get(LOG_TEXT) or bpy.data.texts.new(LOG_TEXT)
    log.from_string(text)
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "TEXT_EDITOR" and area.spaces.active.text in (None, log):
                area.spaces.active.text = log


CLASSES = (MILO_OT_start_backend, MILO_OT_stop_backend, MILO_OT_show_log, MILO_OT_poll)
