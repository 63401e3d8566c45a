# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of the splats from the scene camera, where the mesh object is now."""

from __future__ import annotations

import bpy
from bpy.types import Operator

from .. import session
from ..connection.backend import READY
from ..protocol.messages import Nothing, Picture, RenderSplats
from ..scene import asset, mesh_object, splat_image
from ..scene.cameras import CameraError

BACKGROUND_TIMEOUT_S = 120.0


class MILO_OT_render_splats(Operator):
    """Draw the splats from the scene camera, moved along with the mesh object. The image is called "MILo splats\""""

    bl_idname = "milo.render_splats"
    bl_label = "Render Splats"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        why_not = ""
        job = context.scene.milo.job
        if asset.find(job) is None and mesh_object.find(job) is None:
            why_not = "This scene has no mesh from a reconstruction yet"
        elif session.current().backend.state != READY:
            why_not = "The backend is not running: start it first"
        if why_not:
            cls.poll_message_set(why_not)
        return not why_not

    def execute(self, context: bpy.types.Context) -> set[str]:
        now = session.current()
        job = context.scene.milo.job
        context.view_layer.update()
        try:
            placed = asset.find(job) or mesh_object.find(job)
            viewmat, K, (width, height), _scale = splat_image.splat_camera(context.scene, placed)
        except CameraError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        question = RenderSplats(job, tuple(viewmat.ravel().tolist()), tuple(K.ravel().tolist()), width, height)
        now.problem = None
        future = now.ask(question, show)
        if bpy.app.background:  # scripts expect the picture to be there; there is no window to hold up
            answered = now.wait(lambda s: future.done(), BACKGROUND_TIMEOUT_S)
            now.poll()
            if not answered or now.problem:
                self.report({"ERROR"}, now.problem.message if now.problem else "The backend did not answer in time.")
                return {"CANCELLED"}
        return {"FINISHED"}


def show(picture: Picture | Nothing) -> None:
    """Put the picture into the image, and into image editors that show nothing else.

    Nothing: a newer question of ours came before this one was drawn.
    """
    if isinstance(picture, Nothing):
        return
    image = splat_image.write_image(picture.image)
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "IMAGE_EDITOR" and area.spaces.active.image in (None, image):
                area.spaces.active.image = image
                area.tag_redraw()


CLASSES = (MILO_OT_render_splats,)
