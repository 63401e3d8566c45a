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
from .explained import Explained


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


class PhotoOperator(Explained):
    """Starts a task about the chosen photos."""

    task = ""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return blocked_by(context)

    def work(self, context: bpy.types.Context) -> None:
        scene = context.scene
        source = source_of(scene)
        settings = {"align.frames": scene.milo.video_frames} if self.task == "align" else {}
        name = source.stem if source.is_file() else source.name
        session.current().photos.start(scene, Reconstruction(name, (), settings, folder=source, task=self.task))


class MILO_OT_check_photos(PhotoOperator, Operator):
    """Say whether the photos are good enough, and what to shoot again: sharpness, light, resolution"""

    bl_idname = "milo.check_photos"
    bl_label = "Check Photos"
    task = "photos"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        if context.scene.milo.photo_kind == "VIDEO":
            return "A video is checked when it is aligned"
        return super().why_not(context)


class MILO_OT_align(PhotoOperator, Operator):
    """Find out where each photo was taken. The cameras come into the scene, with their photos and sparse points"""

    bl_idname = "milo.align"
    bl_label = "Align"
    task = "align"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        if session.current().backend.lacks("align"):
            return "The backend has no COLMAP. In its Python: pip install 'milo-blender[align]'"
        return super().why_not(context)


class MILO_OT_cancel_photos(Explained, Operator):
    """End the check or the alignment. What came before stays"""

    bl_idname = "milo.cancel_photos"
    bl_label = "Cancel"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if session.current().photos.busy else "No photos are being looked at or aligned"

    def work(self, context: bpy.types.Context) -> None:
        session.current().photos.cancel()


class MILO_OT_set_scale(Explained, Operator):
    """Scale the solved cameras so that the two selected points are as far apart as in reality. Select two of the
    sparse points in Edit Mode, or two objects"""

    bl_idname = "milo.set_scale"
    bl_label = "Set Scale"
    bl_options = {"REGISTER", "UNDO"}

    distance: FloatProperty(
        name="Distance", description="True distance of the two points", subtype="DISTANCE", default=1.0, min=1e-6
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        if solved.root_of(context.scene) is None:
            return "Align photos first"
        if solved.measured(context) is None:
            return "Select two of the sparse points in Edit Mode, or two objects"
        return ""

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.distance = solved.measured(context) or 1.0
        return context.window_manager.invoke_props_dialog(self)

    def work(self, context: bpy.types.Context) -> None:
        measured = solved.measured(context)
        if not measured:
            raise Problem("The two points are in the same place: select two that are apart.")
        solved.scale_by(context.scene, self.distance / measured)
        context.view_layer.update()
        self.report({"INFO"}, rpt_("Scaled by {:.4g}").format(self.distance / measured))


CLASSES = (MILO_OT_check_photos, MILO_OT_align, MILO_OT_cancel_photos, MILO_OT_set_scale)
