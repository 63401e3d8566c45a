# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel that helps with rigging."""

from __future__ import annotations

from bpy.types import Context, Panel

from ..scene import rig, rig_motion
from .look import MiloPanel, side_by_side


class MILO_PT_rig(MiloPanel, Panel):
    bl_idname = "MILO_PT_rig"
    bl_parent_id = "MILO_PT_main"
    bl_label = "Rig and Animate"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout = self.layout
        obj = rig.target(context)
        armature = rig.of(obj) if obj else None
        if armature is None:
            layout.label(text="Add Armature")
            side_by_side(layout, context).operator_enum("milo.add_armature", "kind")
        else:
            layout.label(text=armature.name, icon="ARMATURE_DATA")
        layout.operator("milo.bind", icon="MOD_ARMATURE")
        row = side_by_side(layout, context)
        posed = armature is not None and rig_motion.in_test_pose(armature)
        row.operator("milo.test_pose", icon="POSE_HLT", depress=posed)
        row.operator("milo.add_wave", icon="FCURVE")
        layout.operator("milo.add_turntable", icon="CAMERA_DATA")


CLASSES = (MILO_PT_rig,)
