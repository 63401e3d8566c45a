# SPDX-License-Identifier: GPL-3.0-or-later
"""What calls the session: a timer while Blender has a window, and a handler when a .blend is opened."""

from __future__ import annotations

import time
import traceback

import bpy
from bpy.app.handlers import persistent

from . import session
from .connection.problems import Problem
from .scene import mesh_object, paths

BUSY_S, IDLE_S = 0.1, 0.5
COPIES_S = 2.0  # from one look for copies to the next
TRANSFER_S = 0.01  # between slices of what is carried over to the next mesh

_drawn: tuple = ()
_shown_at = 0.0  # when the last call showed a mesh, else 0


def tick() -> float:
    """Poll, redraw the panel when it would look different, and say when to be called again."""
    global _drawn, _shown_at
    now, begin = session.current(), time.perf_counter()
    if _shown_at:
        now.refresh.took(max(0.0, begin - _shown_at - BUSY_S))
    shown = now.refreshes
    try:
        busy = now.poll()
    except Exception as error:  # Blender would drop the timer, and the panel would stand still without a word
        traceback.print_exc()
        now.problem = Problem(f"{type(error).__name__}: {error}", "This is a defect: the console has the details.")
        busy = False
    _shown_at = time.perf_counter() if now.refreshes > shown else 0.0
    looks = appearance(now)
    if looks != _drawn:
        _drawn = looks
        redraw()
    if now.refresh.transferring:
        return TRANSFER_S
    return BUSY_S if busy or now.backend.state in ("starting", "stopping") else IDLE_S


def look_for_copies() -> float:
    """Let go of copies soon after they were made: automatic saves call no handler."""
    mesh_object.let_go_of_copies()
    return COPIES_S


def drawn() -> None:
    """The panel is drawn as things are now. If that is between two ticks, as Blender draws it for reasons of its own,
    the next one draws all: those of other views show what was before, and this one what may be over by then."""
    global _drawn
    if appearance(session.current()) != _drawn:
        _drawn = ()


def appearance(now: session.Session) -> tuple:
    """Everything the panel shows that changes without the user."""
    info, trouble, start = now.job_info, now.trouble, now.starting
    return (
        now.backend.state,
        now.backend.device,
        now.job_state,
        (info.job, info.revision) if info else None,
        (trouble.message, trouble.hint) if trouble else None,
        (start.stage, round(start.fraction, 2)) if start else None,
        now.waiting,
        now.photos.progress,
        now.finishing.progress,
        now.finishing.waiting,
        now.finishing.problem,
        now.storing.progress,
        now.storing.problem,
        id(now.photos.report),
        now.refreshes,
        now.pairing.address,
        now.preview.state,
        (now.outlook.estimate, now.outlook.photos, now.outlook.problem),
        tuple((job.job, job.state, job.iteration) for job in now.job_list.jobs),
    )


def redraw() -> None:
    """The sidebars of the 3D views alone: the scene beside them may be slow to draw."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                next(region for region in area.regions if region.type == "UI").tag_redraw()


@persistent
def on_load(_path: object) -> None:
    """A .blend was opened: follow its job, in the window's scene or the first that has one."""
    mesh_object.own()
    scenes = [bpy.context.scene, *bpy.data.scenes]
    with_job = (scene for scene in scenes if scene.milo.job or scene.milo.photo_job)
    session.current().attach(next(with_job, bpy.context.scene))


@persistent
def on_save(path: str) -> None:
    mesh_object.let_go_of_copies()
    paths.rebase(bpy.data.filepath, path)


@persistent
def on_saved(path: str) -> None:
    """Also if that failed. A copy was saved: the .blend is where it was."""
    paths.rebase(path, bpy.data.filepath)


@persistent
def on_undo(_path: object) -> None:
    """Undo and redo bring back another mesh without a word to on_change."""
    session.current().refresh.start_anew()


@persistent
def on_change(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Whatever changes a mesh, a transfer of what lay on it before is no longer right."""
    now = session.current().refresh
    if now.transferring:
        ids = (update.id.original for update in depsgraph.updates if update.is_updated_geometry)
        now.changed({changed.name for changed in ids if isinstance(changed, bpy.types.Mesh)})


def register() -> None:
    bpy.app.handlers.save_pre.append(on_save)
    bpy.app.handlers.save_post.append(on_saved)
    bpy.app.handlers.save_post_fail.append(on_saved)
    bpy.app.handlers.depsgraph_update_post.append(on_change)
    bpy.app.handlers.undo_post.append(on_undo)
    bpy.app.handlers.redo_post.append(on_undo)
    bpy.app.handlers.load_post.append(on_load)
    bpy.app.timers.register(tick, first_interval=IDLE_S, persistent=True)
    bpy.app.timers.register(look_for_copies, first_interval=COPIES_S, persistent=True)


def unregister() -> None:
    bpy.app.timers.unregister(look_for_copies)
    bpy.app.timers.unregister(tick)
    bpy.app.handlers.load_post.remove(on_load)
    bpy.app.handlers.redo_post.remove(on_undo)
    bpy.app.handlers.undo_post.remove(on_undo)
    bpy.app.handlers.depsgraph_update_post.remove(on_change)
    bpy.app.handlers.save_post_fail.remove(on_saved)
    bpy.app.handlers.save_post.remove(on_saved)
    bpy.app.handlers.save_pre.remove(on_save)
