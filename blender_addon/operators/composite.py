# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats together with the other objects of the scene, in the picture of the scene's own render engine."""

from __future__ import annotations

import bpy
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.types import Operator

from ..scene import composite
from ..scene.surface import followers


class MILO_OT_composite_splats(Operator):
    """Make F12 and animations show the splats among the other objects, composited by depth. Press again after splats or cameras were added"""  # noqa: E501

    bl_idname = "milo.composite_splats"
    bl_label = "Composite with Scene"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        why_not = ""
        if context.scene.render.engine == composite.ENGINE:
            why_not = "Choose Cycles, EEVEE or Workbench as render engine: MILo itself draws splats alone"
        elif not followers(context.scene):
            why_not = "No mesh of this scene carries splats: wait for the finished mesh"
        if why_not:
            cls.poll_message_set(why_not)
        return not why_not

    def execute(self, context: bpy.types.Context) -> set[str]:
        splats = composite.set_up(context.scene, context.view_layer)
        self.report({"INFO"}, rpt_("F12 now shows the splats, which scene {} renders").format(splats.name))
        return {"FINISHED"}


class MILO_OT_remove_composite(Operator):
    """Render the scene without splats again: remove the nodes and the scene that draws them, show the mesh"""

    bl_idname = "milo.remove_composite"
    bl_label = "Remove Compositing"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        there = composite.splat_scene(context.scene) is not None
        if not there:
            cls.poll_message_set("This scene's splats are not composited")
        return there

    def execute(self, context: bpy.types.Context) -> set[str]:
        composite.take_away(context.scene)
        return {"FINISHED"}


CLASSES = (MILO_OT_composite_splats, MILO_OT_remove_composite)
