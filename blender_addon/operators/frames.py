# SPDX-License-Identifier: GPL-3.0-or-later
"""Single frames of cameras that move in front of a sequence, a movie or a clip."""

from __future__ import annotations

import time

import bpy
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.types import Operator

from .. import preferences
from ..scene import shots, taken
from .explained import Explained
from .frame_by_frame import FrameByFrame


class MILO_OT_take_frames(FrameByFrame, Explained, Operator):
    """Take single frames of cameras that move in front of an image sequence, a movie or a solved clip. Each becomes a
    still camera with its frame as background image; lens distortion that a clip knows of is taken out"""

    bl_idname = "milo.take_frames"
    bl_label = "Take Frames"
    bl_options = {"UNDO"}
    stopped = "Stopped: no camera was added"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        if shots.moving_cameras(context.scene):
            return ""
        return "No camera of this scene has a sequence, a movie or a clip as background"

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.go(context, self._take(context.scene))

    def done(self, context: bpy.types.Context) -> str:
        return rpt_("{} frames taken").format(self._count)

    def _take(self, scene: bpy.types.Scene):
        """Take the frames of all shots; yields (done, of how many) of each."""
        root = preferences.local_home() / "frames"
        self._count = 0
        for shot in shots.shots(scene):
            name = f"{bpy.path.clean_name(shot.camera.name)}-{time.strftime('%Y%m%d-%H%M%S')}"
            yield from taken.take(scene, shot, root / name)
            self._count += len(shot.camera.milo.taken.objects)


CLASSES = (MILO_OT_take_frames,)
