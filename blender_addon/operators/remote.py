# SPDX-License-Identifier: GPL-3.0-or-later
"""Save backends on other computers, and forget them."""

from __future__ import annotations

import bpy
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.props import StringProperty
from bpy.types import Operator

from .. import preferences, session
from ..connection.backend import STOPPED
from ..connection.endpoint import save_remote
from ..connection.problems import Problem


class MILO_OT_add_remote(Operator):
    """Save a backend that runs on another computer, by the connection file that it has written there"""

    bl_idname = "milo.add_remote"
    bl_label = "Add Remote Backend"
    bl_options = {"INTERNAL"}

    name: StringProperty(name="Name", description="As the list is to show it", default="Remote")
    pairing: StringProperty(
        name="Pairing",
        description="The file connection.json of the backend's work folder, copied here; or its text, pasted",
        subtype="FILE_PATH",
    )
    address: StringProperty(
        name="Address", description="Host and port as this computer sees them, e.g. gpu.example.org:5555"
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self, width=420)

    def execute(self, context: bpy.types.Context) -> set[str]:
        mine = preferences.get()
        name = self.name.strip()
        if not name or name in mine.remotes:
            taken = rpt_('There is a backend "{}" already: choose another name.').format(name)
            self.report({"ERROR"}, taken if name else "Give the backend a name.")
            return {"CANCELLED"}
        try:
            save_remote(preferences.remote_home(name), self.pairing, self.address)
        except Problem as problem:
            self.report({"ERROR"}, f"{problem.message} {problem.hint}")
            return {"CANCELLED"}
        mine.remotes.add().name = name
        if session.current().backend.state == STOPPED:
            mine.chosen = name
        return {"FINISHED"}


class MILO_OT_remove_remote(Operator):
    """Forget the chosen backend on another computer, with its keys"""

    bl_idname = "milo.remove_remote"
    bl_label = "Remove Remote Backend"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        why_not = ""
        if not preferences.get().remotes.get(preferences.get().chosen):
            why_not = "Choose a backend on another computer first"
        elif session.current().backend.state != STOPPED:
            why_not = "Disconnect first"
        if why_not:
            cls.poll_message_set(why_not)
        return not why_not

    def execute(self, context: bpy.types.Context) -> set[str]:
        mine = preferences.get()
        (preferences.remote_home(mine.chosen) / "connection.json").unlink(missing_ok=True)
        mine.remotes.remove(mine.remotes.find(mine.chosen))
        mine.chosen = ""
        return {"FINISHED"}


CLASSES = (MILO_OT_add_remote, MILO_OT_remove_remote)
