# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats together with the other objects of the scene, in the picture of the scene's own render engine."""

from __future__ import annotations

import bpy
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.types import Operator

from ..scene import composite
from ..scene.surface import followers
from .explained import Explained


class MILO_OT_composite_splats(Explained, Operator):
    """Make F12 and animations show the splats among the other objects, composited by depth. Press again after splats or cameras were added"""  # noqa: E501

    bl_idname = "milo.composite_splats"
    bl_label = "Composite with Scene"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        if context.scene.render.engine == composite.ENGINE:
            return "Choose Cycles, EEVEE or Workbench as render engine: MILo itself draws splats alone"
        return "" if followers(context.scene) else "No mesh of this scene carries splats: wait for the finished mesh"

    def work(self, context: bpy.types.Context) -> None:
        splats = composite.set_up(context.scene, context.view_layer)
        self.report({"INFO"}, rpt_("F12 now shows the splats, which scene {} renders").format(splats.name))


class MILO_OT_remove_composite(Explained, Operator):
    """Render the scene without splats again: remove the nodes and the scene that draws them, show the mesh"""

    bl_idname = "milo.remove_composite"
    bl_label = "Remove Compositing"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if composite.splat_scene(context.scene) else "This scene's splats are not composited"

    def work(self, context: bpy.types.Context) -> None:
        composite.take_away(context.scene)


CLASSES = (MILO_OT_composite_splats, MILO_OT_remove_composite)
