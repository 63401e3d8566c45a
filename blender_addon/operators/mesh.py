# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the mesh as it is; keep its refreshes quick."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty
from bpy.types import Operator

from ..scene import mesh_object


class MILO_OT_freeze(Operator):
    """Keep the mesh as it is now: newer ones of the reconstruction are not applied to this object"""

    bl_idname = "milo.freeze"
    bl_label = "Freeze"
    bl_options = {"REGISTER", "UNDO"}

    freeze: BoolProperty(name="Freeze", description="Off: follow the reconstruction again", default=True)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        obj = mesh_object.find(context.scene.milo.job)
        if obj is None:
            cls.poll_message_set("This scene has no mesh from a reconstruction yet")
        return obj is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        mesh_object.find(context.scene.milo.job).milo.frozen = self.freeze
        return {"FINISHED"}


class MILO_OT_fast_subdivision(Operator):
    """Switch off Use Limit Surface of this mesh's Subdivision modifiers: on triangles up to sixty times as fast"""

    bl_idname = "milo.fast_subdivision"
    bl_label = "Fast Subdivision"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        obj = mesh_object.find(context.scene.milo.job)
        slow = obj is not None and bool(mesh_object.slow_subdivisions(obj))
        if not slow:
            cls.poll_message_set("No Subdivision modifier of this mesh uses the limit surface")
        return slow

    def execute(self, context: bpy.types.Context) -> set[str]:
        for modifier in mesh_object.slow_subdivisions(mesh_object.find(context.scene.milo.job)):
            modifier.use_limit_surface = False
        return {"FINISHED"}


CLASSES = (MILO_OT_freeze, MILO_OT_fast_subdivision)
