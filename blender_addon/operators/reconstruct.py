# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, pause, resume and cancel a reconstruction."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.types import Operator

from .. import options, session
from ..connection.backend import READY
from ..connection.job_start import Reconstruction
from ..connection.problems import Problem
from ..scene import cameras, region, shots, solved
from .explained import Explained


def blocked_by(context: bpy.types.Context) -> str:
    """Why no reconstruction can be started now; empty if one can."""
    choices = context.scene.milo
    if session.current().job_state == "starting":
        return "A reconstruction is being started"
    if choices.source == "FOLDER" and not choices.folder:
        return "Choose a folder with photos first"
    if choices.source == "PHOTOS" and choices.solved is None:
        return "Align the photos first"
    if session.current().photos.busy:
        return "Photos are being aligned: wait, or cancel it first"
    if choices.source == "CAMERAS" and not cameras.cameras_with_photo(context.scene):
        if shots.moving_cameras(context.scene):
            return "Take frames of the moving camera first"
        return "No camera of this scene has a background image"
    return ""


def wanted_from(scene: bpy.types.Scene) -> Reconstruction:
    """The user's choices as a request.

    Raises:
        CameraError, ValueError: something is wrong with them; the message says what.
    """
    choices = scene.milo
    bpy.context.view_layer.update()
    settings = region.settings(scene) | options.parse(choices.overrides)
    if choices.source == "FOLDER":
        folder = Path(bpy.path.abspath(choices.folder)).resolve()
        return Reconstruction(folder.name or "scene", (choices.preset,), settings, folder=folder)
    if choices.source == "PHOTOS":
        points, colors = solved.sparse_points(scene)
        chosen = cameras.photo_cameras(scene, choices.solved)
        name = choices.solved.name.removesuffix(" cameras")
        return Reconstruction(name, (choices.preset,), settings, cameras=chosen, points=points, colors=colors)
    return Reconstruction(scene.name, (choices.preset,), settings, cameras=cameras.photo_cameras(scene))


class MILO_OT_reconstruct(Explained, Operator):
    """Reconstruct a mesh from the chosen photos. Blender stays usable meanwhile. Further ones wait in a queue"""

    bl_idname = "milo.reconstruct"
    bl_label = "Reconstruct"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return blocked_by(context)

    def work(self, context: bpy.types.Context) -> None:
        try:
            session.current().reconstruct(context.scene, wanted_from(context.scene))
        except (cameras.CameraError, ValueError) as error:
            raise Problem(str(error)) from error


class MILO_OT_pause(Explained, Operator):
    """Save the reconstruction and let it rest; Resume goes on from there"""

    bl_idname = "milo.pause"
    bl_label = "Pause"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if session.current().job_state in session.ACTIVE else "No reconstruction is running"

    def work(self, context: bpy.types.Context) -> None:
        session.current().pause()


class MILO_OT_resume(Explained, Operator):
    """Go on with this scene's reconstruction from its last checkpoint. Starts the backend where needed"""

    bl_idname = "milo.resume"
    bl_label = "Resume"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return resume_blocked_by(context)

    def work(self, context: bpy.types.Context) -> None:
        session.current().resume(context.scene)


def resume_blocked_by(context: bpy.types.Context) -> str:
    """Why this scene's job cannot be resumed now; empty if it can."""
    now = session.current()
    if not context.scene.milo.job:
        return "This scene has no reconstruction"
    if now.has_all_of(context.scene):
        return "The reconstruction is finished"
    if now.with_another_backend(context.scene):
        return "The reconstruction is with another backend: stop or disconnect this one first"
    if now.job_state in session.RESUMABLE or now.backend.state != READY:
        return ""
    return "The reconstruction is not paused"


class MILO_OT_cancel(Explained, Operator):
    """End the reconstruction. The mesh so far stays"""

    bl_idname = "milo.cancel"
    bl_label = "Cancel"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        now = session.current()
        if now.job_state not in ("starting", *session.ACTIVE, "paused"):
            return "No reconstruction is running"
        if now.job_state == "paused" and now.backend.state != READY:
            return "The backend is not running: start it first"
        return ""

    def work(self, context: bpy.types.Context) -> None:
        session.current().cancel()


CLASSES = (MILO_OT_reconstruct, MILO_OT_pause, MILO_OT_resume, MILO_OT_cancel)
