# SPDX-License-Identifier: Apache-2.0
"""Runs in a Blender with a window: plays an artist, one step a timer call, and never polls the session itself."""

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
    wish = ROOM / f"{name}.wish"
    wish.touch()
    while wish.exists():
        yield


def view():
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    return area.spaces.active, next(region for region in area.regions if region.type == "UI")


def work_on(obj):
    """What an artist puts on the object: a material, a modifier, a vertex group."""
    obj.data.materials.clear()
    obj.data.materials.append(bpy.data.materials.new("mine"))
    obj.modifiers.new("Subdivision", "SUBSURF").levels = 1
    group = obj.vertex_groups.new(name="top")
    group.add([vertex.index for vertex in obj.data.vertices if vertex.co.z > 0], 1.0, "REPLACE")


def kept(obj):
    """Whether it is still there."""
    wrong = [v.index for v in obj.data.vertices if abs(v.co.z) > 0.25 and bool(v.groups) != (v.co.z > 0)]
    return {"materials": [material.name for material in obj.data.materials], "wrong_weights": len(wrong),
            "modifiers": [modifier.name for modifier in obj.modifiers]}


def watch_polls(now):
    """(seconds, meshes shown) of every poll from now on; nothing else of the extension runs on the main thread."""
    times, poll = [], now.poll

    def timed(*arguments):
        start, shown = time.perf_counter(), now.refreshes
        busy = poll(*arguments)
        times.append((time.perf_counter() - start, now.refreshes - shown))
        return busy
    now.poll = timed
    return times


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
    work_on(bpy.data.objects["photos"])
    times = watch_polls(now)
    yield from picture("2-training")
    while now.job_state != "finished" or bpy.data.objects["photos"].milo.kind != "final":
        yield
    for _ in range(10):
        yield
    yield from picture("3-finished")
    result = {"kind": bpy.data.objects["photos"].milo.kind, "refreshes": now.refreshes,
              "trouble": str(now.trouble) if now.trouble else None, **kept(bpy.data.objects["photos"]),
              "longest_poll_ms": 1000 * max(seconds for seconds, count in times if not count),
              "longest_refresh_ms": 1000 * max(seconds for seconds, count in times if count)}
    bpy.ops.milo.help()
    for _ in range(10):
        yield
    result["manual"] = any(area.type == "TEXT_EDITOR" for area in bpy.context.window_manager.windows[-1].screen.areas)
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[-1]):
        bpy.ops.wm.window_close()
    for _ in range(3):
        yield
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
