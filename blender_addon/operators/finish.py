# SPDX-License-Identifier: GPL-3.0-or-later
"""Make an asset of a reconstruction."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from .. import session
from ..connection.problems import Problem


class MILO_OT_finish(Operator):
    """Make a light, textured object of the reconstruction: clean, decimated, unwrapped, with textures from the photos.
    The splats follow it; the scan is hidden. The choices are those of the panel (scene.milo_finish)"""

    bl_idname = "milo.finish"
    bl_label = "Finish"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        now, why_not = session.current(), ""
        if not context.scene.milo.job:
            why_not = "This scene has no reconstruction yet"
        elif not now.has_all_of(context.scene):
            why_not = "The reconstruction is not finished yet"
        elif now.finishing.busy:
            why_not = "The asset is being made: wait, or cancel it first"
        if why_not:
            cls.poll_message_set(why_not)
        return not why_not

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            session.current().finishing.start(context.scene)
        except Problem as problem:
            self.report({"ERROR"}, f"{problem.message} {problem.hint}")
            return {"CANCELLED"}
        return {"FINISHED"}


class MILO_OT_cancel_finish(Operator):
    """End the finishing. The reconstruction and an earlier asset stay"""

    bl_idname = "milo.cancel_finish"
    bl_label = "Cancel Finishing"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        busy = session.current().finishing.busy
        if not busy:
            cls.poll_message_set("No asset is being made")
        return busy

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().finishing.cancel()
        return {"FINISHED"}


CLASSES = (MILO_OT_finish, MILO_OT_cancel_finish)
