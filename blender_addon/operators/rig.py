# SPDX-License-Identifier: GPL-3.0-or-later
"""Bones for the mesh, their weights, and motions to try them."""

from __future__ import annotations

import math

import bpy
import numpy as np
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.props import EnumProperty, FloatProperty, IntProperty
from bpy.types import Context, Operator

from ..scene import rig, rig_fit, rig_motion, rig_solid, rig_weights

KINDS = (
    ("CHAIN", "Chain", "Bones in a row along the middle of the mesh"),
    ("BIPED", "Biped", "A body on two legs, fitted to the bounding box: adjust it in Edit Mode"),
    ("QUADRUPED", "Quadruped", "A body on four legs, fitted to the bounding box: adjust it in Edit Mode"),
)
AXES = (
    ("AUTO", "Longest", "Along the longest direction of the mesh"),
    *((name, name, f"Along the world's {name}") for name in "XYZ"),
)
FACING = (
    ("AUTO", "Automatic", "From the shape of the bounding box"),
    *((name, name, f"The body looks along {name}") for name in rig_fit.FACING),
)


class RigOperator:
    """What all operators here share: they act on the mesh that `rig.target` finds, in Object Mode."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        why_not = cls.why_not(context, rig.target(context))
        if why_not:
            cls.poll_message_set(why_not)
        return not why_not

    @classmethod
    def why_not(cls, context: Context, obj: bpy.types.Object | None) -> str:
        if obj is None:
            return "Select a mesh"
        return "" if context.mode == "OBJECT" else "Only in Object Mode"


class NeedsArmature(RigOperator):
    @classmethod
    def why_not(cls, context: Context, obj: bpy.types.Object | None) -> str:
        if obj is None:
            return "Select a mesh"
        if rig.of(obj) is None:
            return rpt_("{} has no armature: add one first").format(obj.name)
        return "" if context.mode in {"OBJECT", "POSE"} else "Only in Object Mode and Pose Mode"


class MILO_OT_add_armature(RigOperator, Operator):
    """Add bones that fit the mesh. Adjust them in Edit Mode, then bind the mesh to them"""

    bl_idname = "milo.add_armature"
    bl_label = "Add Armature"

    kind: EnumProperty(name="Kind", description="Which bones to add", items=KINDS)
    bones: IntProperty(name="Bones", description="Bones of the chain", default=6, min=1, soft_max=20, max=100)
    axis: EnumProperty(name="Axis", description="Where the chain goes", items=AXES)
    facing: EnumProperty(name="Facing", description="Where the body looks", items=FACING)

    @classmethod
    def why_not(cls, context: Context, obj: bpy.types.Object | None) -> str:
        why_not = super().why_not(context, obj)
        if why_not:
            return why_not
        if rig.of(obj) is not None:
            return rpt_("{} has an armature already: delete that first").format(obj.name)
        return "" if obj.data.polygons else rpt_("{} has no faces").format(obj.name)

    @classmethod
    def description(cls, context: Context, properties: bpy.types.OperatorProperties) -> str:
        return next(words for name, _, words in KINDS if name == properties.kind)

    def draw(self, context: Context) -> None:
        self.layout.use_property_split = True
        self.layout.prop(self, "kind")
        for name in ("bones", "axis") if self.kind == "CHAIN" else ("facing",):
            self.layout.prop(self, name)

    def execute(self, context: Context) -> set[str]:
        context.view_layer.update()
        obj = rig.target(context)
        points = rig_solid.solid(*rig.world_mesh(obj)).points
        facing = "" if self.facing == "AUTO" else self.facing
        if self.kind == "CHAIN":
            axis = None if self.axis == "AUTO" else np.eye(3)["XYZ".index(self.axis)]
            bones = rig_fit.chain(points, self.bones, axis)
        else:
            bones = (rig_fit.biped if self.kind == "BIPED" else rig_fit.quadruped)(points, facing)
        rig.add(context, obj, bones)
        return {"FINISHED"}


class MILO_OT_bind(NeedsArmature, Operator):
    """Give the mesh automatic weights for its armature, and its coarser levels of detail the same ones. Weights that
    these bones had are replaced"""

    bl_idname = "milo.bind"
    bl_label = "Bind"

    @classmethod
    def why_not(cls, context: Context, obj: bpy.types.Object | None) -> str:
        return super().why_not(context, obj) or RigOperator.why_not(context, obj)

    def execute(self, context: Context) -> set[str]:
        context.view_layer.update()
        obj = rig.target(context)
        armature = rig.of(obj)
        try:
            missing = rig_weights.bind(context, obj, armature)
        except ValueError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if missing > 0.005:
            where = rpt_("everywhere")
            if missing <= 0.995:
                where = rpt_("for {}% of the mesh").format(math.ceil(100 * missing))
            self.report({"WARNING"}, rpt_("Bone heat found no weights {}: there the nearest bones have them. "
                                          "Bones inside the mesh get better ones").format(where))
        else:
            self.report({"INFO"}, rpt_("Bound {} to {}").format(obj.name, armature.name))
        return {"FINISHED"}


class MILO_OT_test_pose(NeedsArmature, Operator):
    """Bend the armature to see whether the weights are good. Press again for the pose of before"""

    bl_idname = "milo.test_pose"
    bl_label = "Test Pose"

    def execute(self, context: Context) -> set[str]:
        rig_motion.toggle_test_pose(rig.of(rig.target(context)))
        return {"FINISHED"}


class MILO_OT_add_wave(NeedsArmature, Operator):
    """Let the armature wave, as an action to start from. An action that it has is kept in the file"""

    bl_idname = "milo.add_wave"
    bl_label = "Wave"

    frames: IntProperty(name="Frames", description="Length, after which it begins anew", default=48, min=8)
    cycles: IntProperty(name="Waves", description="How often it goes to and fro", default=2, min=1, soft_max=8)
    strength: FloatProperty(name="Strength", description="How far the bones turn", default=1.0, min=0.0, soft_max=3.0)

    def execute(self, context: Context) -> set[str]:
        armature = rig.of(rig.target(context))
        rig_motion.add_wave(context.scene, armature, self.frames, self.cycles, self.strength)
        return {"FINISHED"}


class MILO_OT_add_turntable(RigOperator, Operator):
    """Add a camera that goes around the mesh once. It becomes the scene's camera, and the scene as long as its round"""

    bl_idname = "milo.add_turntable"
    bl_label = "Turntable"

    frames: IntProperty(name="Frames", description="Length of a round", default=48, min=2)
    height: FloatProperty(name="Height", description="Angle above the horizon", subtype="ANGLE",
                          default=math.radians(15), min=-math.pi / 2, max=math.pi / 2)

    def execute(self, context: Context) -> set[str]:
        context.view_layer.update()
        rig_motion.add_turntable(context, rig.target(context), self.frames, self.height)
        return {"FINISHED"}


CLASSES = (MILO_OT_add_armature, MILO_OT_bind, MILO_OT_test_pose, MILO_OT_add_wave, MILO_OT_add_turntable)
