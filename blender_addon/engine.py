# SPDX-License-Identifier: GPL-3.0-or-later
"""The render engine "MILo": splats on the deformed meshes of the scene, for F12, animations and Rendered shading."""

from __future__ import annotations

import sys
import threading
import time

import bpy
import numpy as np
from bpy.app.translations import pgettext_rpt as rpt_
from bpy.types import Context, Depsgraph, Panel, RenderEngine, Scene, ViewLayer

from . import live_view, session
from .connection.backend import READY, STARTING
from .connection.client import Client
from .connection.drawing import Question, Sent, draw
from .connection.problems import Cancelled, NoBackend, Problem
from .protocol.messages import Picture
from .scene.cameras import CameraError
from .scene.composite import ENGINE, camera_at, needed
from .scene.splat_view import EMPTY, frame_view, from_linear, linear_rgba
from .scene.surface import SurfaceError, read_shown

MISSING = (1.0, 0.0, 1.0, 1.0)  # as Blender colours missing textures: no frame of an animation goes wrong unseen
CONNECT_S = 20.0  # for a backend that is just being connected to
OTHER_ENGINES_PANELS = {"VIEWLAYER_PT_filter", "VIEWLAYER_PT_layer_passes", "RENDER_PT_freestyle"}


class MiloSplatsEngine(RenderEngine):
    bl_idname = ENGINE
    bl_label = "MILo"
    bl_use_eevee_viewport = True  # for Material Preview
    bl_use_postprocess = True

    def update_render_passes(self, scene: Scene, renderlayer: ViewLayer) -> None:
        self.register_pass(scene, renderlayer, "Combined", 4, "RGBA", "COLOR")
        if renderlayer.use_pass_z:
            self.register_pass(scene, renderlayer, "Depth", 1, "Z", "VALUE")

    def render(self, depsgraph: Depsgraph) -> None:
        """Runs in Blender's render thread; in the main thread of scripts."""
        result = self.begin_result(0, 0, self.resolution_x, self.resolution_y)
        try:
            rgba, depth = self._draw(depsgraph)
        except Cancelled:
            self.end_result(result)
            return
        except (Problem, CameraError, SurfaceError) as error:
            self._tell(error)
            if depsgraph.scene.milo_splats.frame_of is None:
                self.end_result(result)  # empty: Blender would crash over a missing one when it saves it
                return
            shape = result.resolution_y, result.resolution_x
            rgba, depth = np.broadcast_to(np.float32(MISSING), (*shape, 4)), np.full(shape, 1e-6, np.float32)
        passes = result.layers[0].passes
        passes["Combined"].rect.foreach_set(np.ascontiguousarray(rgba[::-1], np.float32).ravel())
        if "Depth" in passes:
            far = np.where(depth > 0, depth, EMPTY)[::-1]
            passes["Depth"].rect.foreach_set(np.ascontiguousarray(far, np.float32).ravel())
        self.end_result(result)

    def view_update(self, context: Context, depsgraph: Depsgraph) -> None:
        """Blender draws with no engine that lacks this. What has changed live_view hears from its handlers."""

    def view_draw(self, context: Context, depsgraph: Depsgraph) -> None:
        shown = live_view.show(context, among_others=False)
        self.update_stats("MILo", shown.problem)

    def _tell(self, error: Exception) -> None:
        """Say why there are no splats, wherever somebody may look."""
        said = " ".join(filter(None, [str(error), getattr(error, "hint", "")]))
        self.error_set(said)  # in the window of the picture
        self.report({"ERROR"}, said)  # for scripts, where it becomes an exception; not from within a compositor
        print(f"MILo: {said}", file=sys.stderr)
        session.current().problem = error if isinstance(error, Problem) else Problem(said)  # in the panel

    def _draw(self, depsgraph: Depsgraph) -> tuple[np.ndarray, np.ndarray]:
        """Linear premultiplied colours [H, W, 4] and depths [H, W] of the frame or its border, top row first."""
        scene = depsgraph.scene
        self.update_stats("", rpt_("Reading meshes"))
        framed = scene.milo_splats.frame_of or scene
        camera = self.camera_override or scene.camera
        if framed != scene:
            check_up_to_date(framed, scene)
            camera = camera_at(framed, scene.frame_current)
        surface, pose, jobs = read_shown(depsgraph)
        view = frame_view(framed, camera and camera.evaluated_get(depsgraph), depsgraph,
                          (self.resolution_x, self.resolution_y))
        viewmat, K, width, height, farther = view.pinhole(pose)
        transparent = scene.render.film_transparent
        world = scene.world.color if scene.world and not transparent else (0.0, 0.0, 0.0)
        background = tuple(from_linear(np.array(world, float)).clip(0, 1).tolist())
        question = Question(jobs, surface, pose, viewmat, K, width, height, background, "final", exact=True)
        self.update_stats("", rpt_("Drawing splats"))
        picture = self._ask(question)
        self.update_progress(1.0)
        return linear_rgba(picture.exact, transparent), np.where(picture.depth > 0, picture.depth - farther, 0)

    def _ask(self, question: Question) -> Picture:
        """Wait for the picture in a thread, so that Esc is heard."""
        client = connected()
        cancelled, ended = threading.Event(), threading.Event()
        came: list = []

        def work() -> None:
            try:
                came.append(draw(client, question, Sent(), cancelled))
            except Exception as error:
                came.append(error)
            finally:
                ended.set()
        threading.Thread(target=work, name="milo final picture", daemon=True).start()
        while not ended.wait(0.05):
            if self.test_break():
                cancelled.set()
        if isinstance(came[0], Exception):
            raise came[0]
        return came[0]


def check_up_to_date(framed: Scene, splats: Scene) -> None:
    """Raise SurfaceError if the scene that draws splats for another one lacks some of its objects."""
    new = {obj.name for obj in needed(framed)} - {obj.name for obj in splats.objects}
    if new:
        text = rpt_("{} came after the compositing was set up: press Composite with Scene in {} again.")
        raise SurfaceError(text.format(", ".join(sorted(new)), framed.name))


def connected() -> Client:
    """The connection to the backend, from any thread.

    Raises:
        NoBackend
    """
    backend = session.current().backend
    if threading.current_thread() is threading.main_thread():  # no timer fires now: see to the connection ourselves
        session.current().wait(lambda now: now.backend.state != STARTING, CONNECT_S)
    else:
        end = time.monotonic() + CONNECT_S
        while backend.state == STARTING and time.monotonic() < end:
            time.sleep(0.05)
    client = backend.client
    if backend.state != READY or client is None:
        raise NoBackend(rpt_("The splats are drawn by the MILo backend, which is not running."),
                        rpt_("Start it in the sidebar tab MILo, then render again."))
    return client


class MILO_PT_film(Panel):
    bl_idname = "MILO_PT_film"
    bl_label = "Film"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"
    COMPAT_ENGINES = {MiloSplatsEngine.bl_idname}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return context.engine in cls.COMPAT_ENGINES

    def draw(self, context: Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(context.scene.render, "film_transparent", text="Transparent")
        column = layout.column()
        column.active = not context.scene.render.film_transparent and context.scene.world is not None
        if context.scene.world is not None:
            column.prop(context.scene.world, "color", text="Background")


class MILO_PT_passes(Panel):
    bl_idname = "MILO_PT_passes"
    bl_label = "Passes"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "view_layer"
    COMPAT_ENGINES = {MiloSplatsEngine.bl_idname}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return context.engine in cls.COMPAT_ENGINES

    def draw(self, context: Context) -> None:
        self.layout.use_property_split = True
        self.layout.use_property_decorate = False
        self.layout.prop(context.view_layer, "use_pass_z", text="Depth")


CLASSES = (MiloSplatsEngine, MILO_PT_film, MILO_PT_passes)


def shared_panels() -> list[type[Panel]]:
    """Blender's own panels that make sense with any engine, such as Output and Format."""
    panels = (panel for panel in Panel.__subclasses__() if isinstance(getattr(panel, "COMPAT_ENGINES", None), set))
    return [panel for panel in panels
            if "BLENDER_RENDER" in panel.COMPAT_ENGINES and panel.__name__ not in OTHER_ENGINES_PANELS]


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    for panel in shared_panels():
        panel.COMPAT_ENGINES.add(MiloSplatsEngine.bl_idname)


def unregister() -> None:
    for panel in shared_panels():
        panel.COMPAT_ENGINES.discard(MiloSplatsEngine.bl_idname)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
