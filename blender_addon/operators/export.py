# SPDX-License-Identifier: GPL-3.0-or-later
"""The finished asset for other programs."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.props import BoolProperty, EnumProperty, StringProperty
from bpy.types import Operator

from ..scene import asset, export

FORMATS = (
    ("GLB", "glTF Binary (.glb)", "With textures, rig and animation in one file"),
    ("USD", "Universal Scene Description (.usdz)", "With textures, rig and animation; a .usdc has textures beside it"),
    ("OBJ", "Wavefront (.obj)", "With its material and textures beside it"),
    ("PLY", "Stanford PLY (.ply)", "With vertex colors, for programs without textures"),
)


class MILO_OT_export_asset(Operator):
    """Write the finished objects, and nothing else of the scene, by Blender's own exporter"""

    bl_idname = "milo.export_asset"
    bl_label = "Export Asset"

    format: EnumProperty(name="Format", description="What kind of file to write", items=FORMATS)
    levels: BoolProperty(
        name="All Levels of Detail", description="Write the coarser levels too, each as an object of its own"
    )
    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.glb;*.usd;*.usda;*.usdc;*.usdz;*.obj;*.ply", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        why_not = ""
        if asset.find(context.scene.milo.job) is None:
            why_not = "Finish the reconstruction first"
        elif context.mode != "OBJECT":
            why_not = "Only in Object Mode"
        if why_not:
            cls.poll_message_set(why_not)
        return not why_not

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        name = bpy.path.clean_name(asset.find(context.scene.milo.job).name)
        folder = Path(bpy.data.filepath).parent if bpy.data.filepath else Path.home()
        self.filepath = str(folder / f"{name}{export.SUFFIXES[self.format][0]}")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        path, suffixes = Path(bpy.path.abspath(self.filepath)), export.SUFFIXES[self.format]
        if path.suffix.lower() not in suffixes:
            path = path.with_name(path.name + suffixes[0])
        objects = asset.levels(context.scene.milo.job)
        objects = [obj for obj in objects if obj.name in context.view_layer.objects][: None if self.levels else 1]
        if not objects:
            self.report({"ERROR"}, "The finished object is not in this view layer.")
            return {"CANCELLED"}
        try:
            export.export(context, objects, path, self.format)
        except (export.ExportError, OSError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, rpt_("Wrote {}").format(path.name))
        return {"FINISHED"}


CLASSES = (MILO_OT_export_asset,)
