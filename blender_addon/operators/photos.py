# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos without cameras: report on them, align them, give them their true size."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.props import FloatProperty
from bpy.types import Operator

from .. import session
from ..connection.job_start import Reconstruction
from ..connection.problems import Problem
from ..scene import solved


def source_of(scene: bpy.types.Scene) -> Path | None:
    """The chosen folder of photos, or video; None where none is chosen."""
    choices = scene.milo
    chosen = choices.photo_folder if choices.photo_kind == "FOLDER" else choices.video
    return Path(bpy.path.abspath(chosen)).resolve() if chosen else None


def blocked_by(context: bpy.types.Context) -> str:
    """Why photos can be neither checked nor aligned now; empty if they can."""
    now = session.current()
    if now.job_state in ("starting", *session.ACTIVE):
        return "A reconstruction is running: pause or cancel it first"
    if now.photos.busy:
        return "Photos are being looked at or aligned: wait, or cancel it first"
    if source_of(context.scene) is None:
        return "Choose photos first" if context.scene.milo.photo_kind == "FOLDER" else "Choose a video first"
    return ""


class PhotoOperator:
    """Starts a task about the chosen photos."""

    task = ""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        why_not = blocked_by(context)
        if why_not:
            cls.poll_message_set(why_not)
        return not why_not

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        source = source_of(scene)
        settings = {"align.frames": scene.milo.video_frames} if self.task == "align" else {}
        name = source.stem if source.is_file() else source.name
        try:
            session.current().photos.start(scene, Reconstruction(name, (), settings, folder=source, task=self.task))
        except Problem as problem:
            self.report({"ERROR"}, f"{problem.message} {problem.hint}")
            return {"CANCELLED"}
        return {"FINISHED"}


class MILO_OT_check_photos(PhotoOperator, Operator):
    """Say whether the photos are good enough, and what to shoot again: sharpness, light, resolution"""

    bl_idname = "milo.check_photos"
    bl_label = "Check Photos"
    task = "photos"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene.milo.photo_kind == "VIDEO":
            cls.poll_message_set("A video is checked when it is aligned")
            return False
        return super().poll(context)


class MILO_OT_align(PhotoOperator, Operator):
    """Find out where each photo was taken. The cameras come into the scene, with their photos and sparse points"""

    bl_idname = "milo.align"
    bl_label = "Align"
    task = "align"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.current().backend.lacks("align"):
            cls.poll_message_set("The backend has no COLMAP. In its Python: pip install 'milo-blender[align]'")
            return False
        return super().poll(context)


class MILO_OT_cancel_photos(Operator):
    """End the check or the alignment. What came before stays"""

    bl_idname = "milo.cancel_photos"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        busy = session.current().photos.busy
        if not busy:
            cls.poll_message_set("No photos are being looked at or aligned")
        return busy

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().photos.cancel()
        return {"FINISHED"}


class MILO_OT_set_scale(Operator):
    """Scale the solved cameras so that the two selected points are as far apart as in reality. Select two of the
    sparse points in Edit Mode, or two objects"""

    bl_idname = "milo.set_scale"
    bl_label = "Set Scale"
    bl_options = {"REGISTER", "UNDO"}

    distance: FloatProperty(
        name="Distance", description="True distance of the two points", subtype="DISTANCE", default=1.0, min=1e-6
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        why_not = ""
        if solved.root_of(context.scene) is None:
            why_not = "Align photos first"
        elif solved.measured(context) is None:
            why_not = "Select two of the sparse points in Edit Mode, or two objects"
        if why_not:
            cls.poll_message_set(why_not)
        return not why_not

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.distance = solved.measured(context) or 1.0
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context: bpy.types.Context) -> set[str]:
        measured = solved.measured(context)
        if not measured:
            self.report({"ERROR"}, "The two points are in the same place: select two that are apart.")
            return {"CANCELLED"}
        solved.scale_by(context.scene, self.distance / measured)
        context.view_layer.update()
        self.report({"INFO"}, rpt_("Scaled by {:.4g}").format(self.distance / measured))
        return {"FINISHED"}


CLASSES = (MILO_OT_check_photos, MILO_OT_align, MILO_OT_cancel_photos, MILO_OT_set_scale)
