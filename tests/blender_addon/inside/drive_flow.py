# SPDX-License-Identifier: Apache-2.0
"""Runs in a Blender with a window: no backend, then one; what a reconstruction will take; the live preview."""

import json
import os
import traceback
from pathlib import Path

import bpy

ROOM = Path(os.environ["ROOM"])
bpy.context.preferences.view.show_splash = False   # before the window is up


def picture(name):
    """Ask the test for a picture and wait until it is taken."""
    for _ in range(5):
        yield
    wish = ROOM / f"{name}.wish"
    wish.touch()
    while wish.exists():
        yield


def save_photos():
    """Over those that are there: real ones."""
    for i in range(6):
        image = bpy.data.images.new("photo", 640, 480)
        image.filepath_raw, image.file_format = str(ROOM / "photos" / "images" / f"{i}.png"), "PNG"
        image.save()
        bpy.data.images.remove(image)


def visit():
    bpy.ops.extensions.package_install_files(filepath=str(ROOM / "milo.zip"), repo="user_default",
                                             enable_on_install=True)
    from bl_ext.user_default.milo import preferences, session
    save_photos()
    preferences.get().backend_home = str(ROOM / "nowhere")
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "UI")
    area.spaces.active.show_region_ui = True
    for _ in range(10):
        yield
    while region.active_panel_category != "MILo":
        region.active_panel_category = "MILo"
        region.tag_redraw()
        yield
    choices, now = bpy.context.scene.milo, session.current()
    yield from picture("flow-1-no-backend")
    bpy.ops.milo.copy_install_command()
    result = {"copied": bpy.context.window_manager.clipboard}

    preferences.get().backend_home = str(ROOM / "home")
    choices.folder = str(ROOM / "photos")
    region.tag_redraw()
    while now.outlook.photos is None:
        yield
    bpy.ops.milo.start_backend()
    while now.outlook.estimate is None:
        yield
    yield from picture("flow-2-estimate")
    result["estimated"] = [now.outlook.photos.count, now.outlook.estimate.width]

    bpy.ops.milo.reconstruct()
    while now.preview.shown is None or len(now.preview.course.losses) < 2:
        yield
    yield from picture("flow-3-preview")
    first = now.preview.shown.seq
    while now.job_state != "finished" or now.preview.shown.seq == first:
        yield
    yield from picture("flow-4-preview-at-the-end")
    bpy.ops.milo.show_preview()
    yield from picture("flow-5-image-editor")
    result["editor"] = list(bpy.data.images["MILo preview"].size)
    result["trouble"] = str(now.trouble) if now.trouble else None
    (ROOM / "result.json").write_text(json.dumps(result))


STEPS = visit()


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
