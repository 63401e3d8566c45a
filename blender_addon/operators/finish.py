# SPDX-License-Identifier: GPL-3.0-or-later
"""Make an asset of a reconstruction."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from .. import session
from .explained import Explained


class MILO_OT_finish(Explained, Operator):
    """Make a light, textured object of the reconstruction: clean, decimated, unwrapped, with textures from the photos.
    The splats follow it; the scan is hidden. The choices are those of the panel (scene.milo_finish)"""

    bl_idname = "milo.finish"
    bl_label = "Finish"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        if not context.scene.milo.job:
            return "This scene has no reconstruction yet"
        if not session.current().has_all_of(context.scene):
            return "The reconstruction is not finished yet"
        return "The asset is being made: wait, or cancel it first" if session.current().finishing.busy else ""

    def work(self, context: bpy.types.Context) -> None:
        session.current().finishing.start(context.scene)


class MILO_OT_cancel_finish(Explained, Operator):
    """End the finishing. The reconstruction and an earlier asset stay"""

    bl_idname = "milo.cancel_finish"
    bl_label = "Cancel Finishing"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if session.current().finishing.busy else "No asset is being made"

    def work(self, context: bpy.types.Context) -> None:
        session.current().finishing.cancel()


CLASSES = (MILO_OT_finish, MILO_OT_cancel_finish)
