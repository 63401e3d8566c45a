# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats in 3D Views: asked for while Blender goes on, first small, then in full, and drawn from the newest answer.

Drawing a view only notes where it looks from and shows the last picture. A timer, which runs while something is to be
done, reads the meshes when they have changed, asks the backend, and has the view drawn again when a picture came. A
view asks for one picture at a time, so that nothing out of date queues up.
"""

from __future__ import annotations

import threading
import time
import traceback

import bpy
import numpy as np
from bpy.app.handlers import persistent
from bpy.types import Context, Depsgraph, Scene

from . import session
from .connection.backend import READY
from .connection.drawing import Drawing, Question, Sent
from .protocol.surfaces import Pose, Surface
from .scene.composite import ENGINE
from .scene.splat_draw import Texture, texels_of
from .scene.splat_view import View
from .scene.surface import REST_CO, SurfaceError, followers, read_shown

TICK_S = 0.02
PREVIEW_S = 0.1  # a preview is as large as can be expected to come in this time
SMALLEST = 1 / 8
PATIENCE_S = 5.0  # a view that was not drawn for so long may show something else by now
AGAIN_S = 2.0  # after a failure
COVER = 0.05  # of a mesh's size: its splats cover it, where an engine draws a mesh that is hidden behind its bounds


class Meshes:
    """The evaluated meshes with splats of one scene and view layer, read when they have changed.

    Attributes:
        number: grows with every change.
        read: (surface, pose, jobs), or None while nothing carries splats.
        seconds: what the last reading took of the main thread.
    """

    def __init__(self, scene: str, view_layer: str):
        self.scene, self.view_layer = scene, view_layer
        self.changed = True
        self.number = 0
        self.read: tuple[Surface, Pose, tuple[str, ...]] | None = None
        self.seconds = 0.0

    def refresh(self) -> None:
        if not self.changed:
            return
        self.changed = False
        start = time.perf_counter()
        scene = bpy.data.scenes.get(self.scene)
        layer = scene.view_layers.get(self.view_layer) if scene else None
        try:
            now = read_shown(layer.depsgraph) if layer and layer.depsgraph else None
        except SurfaceError:
            now = None
        if now and self.read and _same(now[0], self.read[0]):
            now = (self.read[0], *now[1:])  # which knows its hash already
        same_pose = now and self.read and now[0] is self.read[0] and _same(now[1], self.read[1])
        if not same_pose or now[2] != self.read[2]:
            self.number += 1
            self.read = now
        self.seconds = time.perf_counter() - start


class LiveView:
    """What one 3D View shows.

    Attributes:
        wanted: where it looks from now.
        shown: (view, number of the meshes, scale) of the picture on the GPU, or None.
        pictures: how many have come.
        problem: why nothing comes, for the user, or "".
        latency: seconds from the question to the picture, of the last full one.
    """

    def __init__(self, name: str):
        self.name = name
        self.wanted: View | None = None
        self.meshes: Meshes | None = None
        self.drawn_at = 0.0
        self.wants_redraw = False
        self.shown: tuple[View, int, float] | None = None
        self.pictures = 0
        self.problem = ""
        self.latency = 0.0
        self._texture: Texture | None = None
        self._texels: tuple[np.ndarray, np.ndarray] | None = None
        self._drawing: Drawing | None = None
        self._drawing_of: tuple[View, int, float] | None = None
        self._asked_at = self._wait_until = 0.0
        self._sent = Sent()

    def draw(self, among_others: bool, nearer: float) -> None:
        """Draw the newest picture; with a GPU context only."""
        self.drawn_at = time.monotonic()
        if self._texels is not None:
            self._texture, self._texels = Texture(*self._texels), None
        if self._texture is not None:
            self._texture.draw(self.wanted, among_others, nearer)

    @property
    def looked_at(self) -> bool:
        return self._drawing is not None or time.monotonic() - self.drawn_at < PATIENCE_S

    @property
    def up_to_date(self) -> bool:
        if self.meshes.changed or self._drawing is not None:
            return False
        if self.meshes.read is None:
            return self._texture is None and self._texels is None
        same = self.shown is not None and self.shown[1] == self.meshes.number and self.wanted.same_as(self.shown[0])
        return same and self.shown[2] == 1.0

    def step(self) -> bool:
        """Take a picture that came, ask for the next. Returns whether the view is to be drawn again."""
        if self._drawing is not None:
            return self._drawing.done and self._take()
        if time.monotonic() < self._wait_until:
            return False
        self.meshes.refresh()
        if self.meshes.read is None:
            gone, self.shown, self._texture, self._texels = self.shown is not None, None, None, None
            return gone
        backend = session.current().backend
        if backend.state != READY:
            return self._fail("The MILo backend is not running: start it in the sidebar tab MILo")
        if not self.up_to_date:
            self._ask(backend.client)
        return False

    def _ask(self, client) -> None:
        surface, pose, jobs = self.meshes.read
        scale = self._scale()
        viewmat, K, width, height, farther = self.wanted.pinhole(pose, scale)
        question = Question(jobs, surface, pose, viewmat, K, width, height, view=self.name)
        self._drawing = Drawing(client, question, self._sent, lambda picture: texels_of(picture, farther))
        self._drawing_of, self._asked_at = (self.wanted, self.meshes.number, scale), time.monotonic()

    def _scale(self) -> float:
        """Of the next picture: full where the view has come to rest or all pictures come quickly."""
        at_rest = self.shown and self.shown[1] == self.meshes.number and self.wanted.same_as(self.shown[0])
        if at_rest or 0 < self.latency <= PREVIEW_S:
            return 1.0
        scale = 0.5
        while scale > SMALLEST and (self.latency == 0 or self.latency * scale**2 > PREVIEW_S):
            scale /= 2
        return scale

    def _take(self) -> bool:
        drawing, self._drawing = self._drawing, None
        if drawing.problem is not None:
            return self._fail(" ".join(filter(None, [drawing.problem.message, drawing.problem.hint])))
        if drawing.result is None:
            return False
        self._texels, self.shown, self.problem = drawing.result, self._drawing_of, ""
        self.pictures += 1
        if self.shown[2] == 1.0:
            self.latency = time.monotonic() - self._asked_at
        return True

    def _fail(self, problem: str) -> bool:
        self._wait_until = time.monotonic() + AGAIN_S
        changed, self.problem = problem != self.problem, problem
        return changed


_views: dict[int, LiveView] = {}  # by the address of the region
_meshes: dict[tuple[str, str], Meshes] = {}


def show(context: Context, among_others: bool, nearer: float = 0.0) -> LiveView:
    """Draw the splats into the 3D View that is just being drawn, and see to newer ones."""
    region, space = context.region, context.region_data
    key = region.as_pointer()
    view = _views.get(key)
    if view is None:
        view = _views[key] = LiveView(f"view {key}")
    of = (context.scene.name, context.view_layer.name)
    view.meshes = _meshes.setdefault(of, _meshes.get(of) or Meshes(*of))
    size = (region.width, region.height)
    wanted = View(np.array(space.view_matrix), np.array(space.window_matrix), size, (0, 0, *size))
    if not wanted.same_as(view.wanted):
        view.wanted = wanted
    view.draw(among_others, nearer)
    wake()
    return view


def views() -> list[LiveView]:
    """Those of the 3D Views that show splats now."""
    return list(_views.values())


def wake() -> None:
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick)


def tick() -> float | None:
    """A step of every view; the timer ends when all are up to date."""
    regions = {region.as_pointer(): region for window in bpy.context.window_manager.windows
               for area in window.screen.areas if area.type == "VIEW_3D" for region in area.regions}
    busy = False
    for key, view in list(_views.items()):
        if key not in regions:
            del _views[key]
            continue
        if view.wants_redraw:  # it is stepped if splats are drawn then
            view.wants_redraw = False
            regions[key].tag_redraw()
        if not view.looked_at:
            continue
        try:
            if view.step():
                regions[key].tag_redraw()
        except Exception:  # Blender would drop the timer, and all views would stand still
            traceback.print_exc()
            del _views[key]
            continue
        busy |= not view.up_to_date
    return TICK_S if busy else None


def changed(depsgraph: Depsgraph) -> bool:
    """Whether an update may have changed what the splats follow."""
    for update in depsgraph.updates:
        what = update.id
        if isinstance(what, (bpy.types.Collection, bpy.types.Scene)):
            return True
        if isinstance(what, bpy.types.Object) and (what.instance_type != "NONE" or _carries(what.data)):
            return True
        if _carries(what):
            return True
    return False


def _carries(data: object) -> bool:
    return isinstance(data, bpy.types.Mesh) and REST_CO in data.attributes


def _same(a: Surface | Pose, b: Surface | Pose) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)


@persistent
def on_change(scene: Scene, depsgraph: Depsgraph) -> None:
    if _meshes and changed(depsgraph):
        mark_changed()


@persistent
def on_frame(scene: Scene, depsgraph: Depsgraph) -> None:
    mark_changed()


@persistent
def on_load(_path: object) -> None:
    _views.clear()
    _meshes.clear()


def mark_changed() -> None:
    for meshes in list(_meshes.values()):  # lists: the main thread may add one while the render thread is here
        meshes.changed = True
    for view in list(_views.values()):
        view.wants_redraw = True
    if _views and threading.current_thread() is threading.main_thread():  # handlers run in the render thread, too
        wake()


def size_of_largest(scene: Scene) -> float:
    """The longest edge of a mesh that carries splats."""
    return max((max(obj.dimensions) for obj in followers(scene)), default=0.0)


def draw_overlay() -> None:
    """Splats among what Solid, Material Preview, EEVEE or Cycles have drawn, where they are switched on."""
    context = bpy.context
    settings, rendered = context.scene.milo_splats, context.space_data.shading.type == "RENDERED"
    if settings.show and not (rendered and context.engine == ENGINE):
        covered = rendered and settings.hide_mesh and context.engine != "BLENDER_WORKBENCH"
        show(context, True, COVER * size_of_largest(context.scene) if covered else 0.0)


_handle: object = None


def register() -> None:
    global _handle
    bpy.app.handlers.depsgraph_update_post.append(on_change)
    bpy.app.handlers.frame_change_post.append(on_frame)
    bpy.app.handlers.load_pre.append(on_load)
    _handle = bpy.types.SpaceView3D.draw_handler_add(draw_overlay, (), "WINDOW", "POST_VIEW")


def unregister() -> None:
    bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    bpy.app.handlers.load_pre.remove(on_load)
    bpy.app.handlers.frame_change_post.remove(on_frame)
    bpy.app.handlers.depsgraph_update_post.remove(on_change)
    _views.clear()
    _meshes.clear()
