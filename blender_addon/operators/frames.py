# SPDX-License-Identifier: GPL-3.0-or-later
"""Single frames of cameras that move in front of a sequence, a movie or a clip."""

from __future__ import annotations

import time

import bpy
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.types import Operator

from .. import preferences
from ..scene import shots, taken
from ..scene.cameras import CameraError


class MILO_OT_take_frames(Operator):
    """Take single frames of cameras that move in front of an image sequence, a movie or a solved clip. Each becomes a
    still camera with its frame as background image; lens distortion that a clip knows of is taken out"""

    bl_idname = "milo.take_frames"
    bl_label = "Take Frames"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        found = bool(shots.moving_cameras(context.scene))
        if not found:
            cls.poll_message_set("No camera of this scene has a sequence, a movie or a clip as background")
        return found

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            self._frames = self._of_all(context.scene, shots.shots(context.scene))
        except CameraError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if bpy.app.background:
            while (status := self._step(context)) == {"RUNNING_MODAL"}:
                pass
            return status
        manager = context.window_manager
        manager.progress_begin(0, 1)
        self._timer = manager.event_timer_add(0.01, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "ESC":
            self._frames.close()
            self.report({"INFO"}, "Stopped: no camera was added")
            return self._end(context, {"CANCELLED"})
        if event.type != "TIMER":
            return {"RUNNING_MODAL"}
        status = self._step(context)
        return status if status == {"RUNNING_MODAL"} else self._end(context, status)

    def _of_all(self, scene: bpy.types.Scene, found: list[shots.Shot]):
        """Take the frames of all shots; yields (done, of how many) of each."""
        root = preferences.local_home() / "frames"
        self._count = 0
        for shot in found:
            name = f"{bpy.path.clean_name(shot.camera.name)}-{time.strftime('%Y%m%d-%H%M%S')}"
            yield from taken.take(scene, shot, root / name)
            self._count += len(shot.camera.milo.taken.objects)

    def _step(self, context: bpy.types.Context) -> set[str]:
        """Look at one frame."""
        try:
            done, of = next(self._frames)
        except StopIteration:
            self.report({"INFO"}, rpt_("{} frames taken").format(self._count))
            return {"FINISHED"}
        except (CameraError, OSError, RuntimeError) as error:  # RuntimeError: Blender could not write it
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


CLASSES = (MILO_OT_take_frames,)
