# SPDX-License-Identifier: GPL-3.0-or-later
"""The animation of the splats as a file that is rendered without Blender."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.props import StringProperty
from bpy.types import Operator

from ..scene.animation import save_animation
from ..scene.surface import followers, jobs_of
from .explained import Explained
from .frame_by_frame import FrameByFrame


class MILO_OT_save_animation(FrameByFrame, Explained, Operator):
    """Save how the mesh deforms in every frame, and the camera, so that `milo render-animation` draws the splats"""

    bl_idname = "milo.save_animation"
    bl_label = "Save Animation for Rendering"
    stopped = "Stopped: no file was written."

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        if not followers(context.scene):
            return "No mesh of this scene carries splats: wait for the finished mesh"
        return "" if context.scene.camera else "The scene has no camera"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self.filepath:
            self.filepath = str(Path(bpy.data.filepath or "untitled").with_suffix(".splats.npz"))
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        self._path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
        return self.go(context, save_animation(context.scene, context.view_layer, self._path))

    def done(self, context: bpy.types.Context) -> str:
        jobs = jobs_of(context.scene, context.scene.milo.job)
        numbers = ", ".join(rpt_("{} is {}").format(number, job) for number, job in enumerate(jobs, 1))
        return rpt_("Saved {}. Reconstruction {}.").format(self._path.name, numbers)


CLASSES = (MILO_OT_save_animation,)
