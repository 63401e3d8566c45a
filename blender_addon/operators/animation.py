# SPDX-License-Identifier: GPL-3.0-or-later
"""The animation of the splats as a file that is rendered without Blender."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.props import StringProperty
from bpy.types import Operator

from ..scene.animation import save_animation
from ..scene.cameras import CameraError
from ..scene.surface import SurfaceError, followers, jobs_of


class MILO_OT_save_animation(Operator):
    """Save how the mesh deforms in every frame, and the camera, so that `milo render-animation` draws the splats"""

    bl_idname = "milo.save_animation"
    bl_label = "Save Animation for Rendering"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        why_not = ""
        if not followers(context.scene):
            why_not = "No mesh of this scene carries splats: wait for the finished mesh"
        elif context.scene.camera is None:
            why_not = "The scene has no camera"
        if why_not:
            cls.poll_message_set(why_not)
        return not why_not

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self.filepath:
            self.filepath = str(Path(bpy.data.filepath or "untitled").with_suffix(".splats.npz"))
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        self._path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
        self._frames = save_animation(context.scene, context.view_layer, self._path)
        manager = context.window_manager
        if bpy.app.background:
            while (status := self._step(context)) == {"RUNNING_MODAL"}:
                pass
            return status
        manager.progress_begin(0, 1)
        self._timer = manager.event_timer_add(0.01, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "ESC":
            self._frames.close()
            self.report({"INFO"}, "Stopped: no file was written.")
            return self._end(context, {"CANCELLED"})
        if event.type != "TIMER":
            return {"RUNNING_MODAL"}
        status = self._step(context)
        return status if status == {"RUNNING_MODAL"} else self._end(context, status)

    def _step(self, context: bpy.types.Context) -> set[str]:
        """Save one frame."""
        try:
            done, of = next(self._frames)
        except StopIteration:
            jobs = jobs_of(context.scene, context.scene.milo.job)
            numbers = ", ".join(rpt_("{} is {}").format(number, job) for number, job in enumerate(jobs, 1))
            self.report({"INFO"}, rpt_("Saved {}. Reconstruction {}.").format(self._path.name, numbers))
            return {"FINISHED"}
        except (CameraError, SurfaceError, OSError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if not bpy.app.background:
            context.window_manager.progress_update(done / of)
            context.workspace.status_text_set(rpt_("Frame {} of {}    Esc: stop").format(done, of))
        return {"RUNNING_MODAL"}

    def _end(self, context: bpy.types.Context, status: set[str]) -> set[str]:
        context.window_manager.event_timer_remove(self._timer)
        context.window_manager.progress_end()
        context.workspace.status_text_set(None)
        return status


CLASSES = (MILO_OT_save_animation,)
