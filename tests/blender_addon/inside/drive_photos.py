# SPDX-License-Identifier: Apache-2.0
"""Runs in a Blender with a window: photos without cameras are checked and aligned; never polls the session itself."""

import json
import os
import time
import traceback
from pathlib import Path

import bpy

ROOM = Path(os.environ["ROOM"])
bpy.context.preferences.view.show_splash = False   # before the window is up


def picture(name):
    """Ask the test for a picture and wait until it is taken."""
    for _ in range(10):
        yield
    wish = ROOM / f"{name}.wish"
    wish.touch()
    while wish.exists():
        yield


def view():
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    return area, area.spaces.active, next(region for region in area.regions if region.type == "UI")


def artist():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    bpy.ops.extensions.package_install_files(filepath=str(ROOM / "milo.zip"), repo="user_default",
                                             enable_on_install=True)
    from bl_ext.user_default.milo import preferences, session
    preferences.get().backend_home = str(ROOM / "home")
    preferences.get().backend_program = "/bin/false"   # there is one already: it must be found
    area, space, region = view()
    space.show_region_ui = True
    space.shading.color_type = "TEXTURE"
    for _ in range(10):
        yield
    while region.active_panel_category != "MILo":   # once the tabs have been drawn
        region.active_panel_category = "MILo"
        region.tag_redraw()
        yield
    choices, now = bpy.context.scene.milo, session.current()
    polls, poll = [], now.poll

    def timed(*args, **kwargs):
        start = time.perf_counter()
        result = poll(*args, **kwargs)
        polls.append(time.perf_counter() - start)
        return result

    now.poll = timed
    choices.source, choices.photo_folder = "PHOTOS", str(ROOM / "walk")
    bpy.ops.milo.check_photos()
    while now.photos.busy or now.photos.report is None:
        yield
    yield from picture("photos-1-checked")
    bpy.ops.milo.align()
    while now.photos.info is None or now.photos.info.stage not in ("matching", "mapping", ""):
        yield
    yield from picture("photos-2-aligning")
    while now.photos.busy or choices.solved is None:
        yield
        if now.trouble:
            break
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area,
                                   region=next(r for r in area.regions if r.type == "WINDOW")):
        bpy.ops.milo.add_region()
        bpy.ops.view3d.view_all()
    yield from picture("photos-3-cameras")
    space.region_3d.view_perspective = "CAMERA"
    yield from picture("photos-4-through-a-camera")
    objects = choices.solved.objects if choices.solved else ()
    points = next((obj for obj in objects if obj.type == "MESH"), None)
    (ROOM / "result.json").write_text(json.dumps({
        "cameras": sum(obj.type == "CAMERA" for obj in objects), "points": len(points.data.vertices) if points else 0,
        "trouble": str(now.trouble) if now.trouble else None, "verdict": now.photos.report.verdict,
        "longest_poll_ms": round(1000 * max(polls), 1)}))


STEPS = artist()


def step():
    try:
        next(STEPS)
    except StopIteration:
        bpy.ops.wm.quit_blender()
        return None
    except Exception:
        traceback.print_exc()
        bpy.ops.wm.quit_blender()
        return None
    return 0.1


bpy.app.timers.register(step, first_interval=2.0, persistent=True)
