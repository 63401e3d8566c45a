# SPDX-License-Identifier: Apache-2.0
"""Runs in a Blender with a window: plays an artist, one step a timer call, and never polls the session itself."""

import json
import os
import traceback
from pathlib import Path

import bpy

ROOM = Path(os.environ["ROOM"])
bpy.context.preferences.view.show_splash = False   # before the window is up


def picture(name):
    """Ask the test for a picture and wait until it is taken."""
    wish = ROOM / f"{name}.wish"
    wish.touch()
    while wish.exists():
        yield


def view():
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    return area.spaces.active, next(region for region in area.regions if region.type == "UI")


def artist():
    for obj in list(bpy.data.objects):
        if obj.type == "MESH":
            bpy.data.objects.remove(obj)
    bpy.ops.extensions.package_install_files(filepath=str(ROOM / "milo.zip"), repo="user_default",
                                             enable_on_install=True)
    from bl_ext.user_default.milo import preferences, session
    preferences.get().backend_home = str(ROOM / "home")
    preferences.get().backend_program = "/bin/false"   # there is one already: it must be found
    space, region = view()
    space.show_region_ui = True
    space.shading.color_type = "VERTEX"
    for _ in range(10):
        yield
    while region.active_panel_category != "MILo":   # once the tabs have been drawn
        region.active_panel_category = "MILo"
        region.tag_redraw()
        yield
    choices = bpy.context.scene.milo
    choices.folder = str(ROOM / "photos")
    for _ in range(10):
        yield
    yield from picture("1-start")
    bpy.ops.milo.reconstruct()
    now = session.current()
    while now.refreshes < 2:
        yield
    for _ in range(3):
        yield
    yield from picture("2-training")
    while now.job_state != "finished" or bpy.data.objects["photos"].milo.kind != "final":
        yield
    for _ in range(10):
        yield
    yield from picture("3-finished")
    result = {"kind": bpy.data.objects["photos"].milo.kind, "refreshes": now.refreshes,
              "trouble": str(now.trouble) if now.trouble else None}
    choices.folder = str(ROOM / "nowhere")
    bpy.ops.milo.reconstruct()
    while now.trouble is None:
        yield
    for _ in range(10):
        yield
    yield from picture("4-trouble")
    (ROOM / "result.json").write_text(json.dumps(result))


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
