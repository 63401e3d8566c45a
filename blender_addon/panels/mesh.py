# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh of the scene's reconstruction: which one it is, whether newer ones replace it, and how they come."""

from __future__ import annotations

from bpy.app.translations import pgettext_iface as iface_
from bpy.types import Context, Panel

from ..scene import mesh_object
from . import words
from .look import MiloPanel, draw_text, is_narrow


class MILO_PT_mesh(MiloPanel, Panel):
    bl_idname = "MILO_PT_mesh"
    bl_parent_id = "MILO_PT_main"
    bl_label = "Mesh"

    def draw(self, context: Context) -> None:
        layout, obj = self.layout, mesh_object.find(context.scene.milo.job)
        if obj is None:
            return
        what = iface_("finished" if obj.milo.kind == "final" else obj.milo.kind)
        count = words.count(obj.milo.triangles)
        draw_text(layout, context, iface_("{}: {}, {} triangles").format(obj.name, what, count), "MESH_DATA")
        if obj.milo.frozen:
            layout.operator("milo.freeze", text="Follow Again", icon="FILE_REFRESH").freeze = False
        elif obj.milo.kind != "final":
            layout.operator("milo.freeze", icon="FREEZE").freeze = True
        if not obj.milo.frozen and mesh_object.slow_subdivisions(obj):
            draw_text(layout, context, "Subdivision is slow on triangles, at every refresh", "INFO")
            layout.operator("milo.fast_subdivision", icon="MOD_SUBSURF")


class MILO_PT_live_mesh(MiloPanel, Panel):
    bl_idname = "MILO_PT_live_mesh"
    bl_parent_id = "MILO_PT_mesh"
    bl_label = "Live Mesh"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header(self, context: Context) -> None:
        self.layout.prop(context.scene.milo, "live_mesh", text="")

    def draw(self, context: Context) -> None:
        layout, choices = self.layout, context.scene.milo
        layout.use_property_split = not is_narrow(context)
        layout.use_property_decorate = False
        layout.active = choices.live_mesh
        layout.prop(choices, "max_triangles")
        layout.prop(choices, "refresh_s")


CLASSES = (MILO_PT_mesh, MILO_PT_live_mesh)
