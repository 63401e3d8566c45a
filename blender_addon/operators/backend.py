# SPDX-License-Identifier: GPL-3.0-or-later
"""Start and stop the local backend; poll for scripts."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from .. import session
from ..connection.backend import READY, STARTING, STOPPED
from ..connection.problems import Problem


class MILO_OT_start_backend(Operator):
    """Start the compute backend on this computer, or connect to the one that runs already"""

    bl_idname = "milo.start_backend"
    bl_label = "Start Backend"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        state = session.current().backend.state
        if state != STOPPED:
            cls.poll_message_set(f"The backend is {state}")
        return state == STOPPED

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            session.current().start_backend()
        except Problem as problem:
            self.report({"ERROR"}, f"{problem.message} {problem.hint}")
            return {"CANCELLED"}
        return {"FINISHED"}


class MILO_OT_stop_backend(Operator):
    """End the compute backend. Running reconstructions are saved and can be resumed"""

    bl_idname = "milo.stop_backend"
    bl_label = "Stop Backend"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        state = session.current().backend.state
        if state not in (READY, STARTING):
            cls.poll_message_set(f"The backend is {state}")
        return state in (READY, STARTING)

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().stop_backend()
        return {"FINISHED"}


class MILO_OT_poll(Operator):
    """Take in what the backend has sent. Blender does this by itself; scripts in background call it"""

    bl_idname = "milo.poll"
    bl_label = "Poll the Backend"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().poll()
        return {"FINISHED"}


CLASSES = (MILO_OT_start_backend, MILO_OT_stop_backend, MILO_OT_poll)
