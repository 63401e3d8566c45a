# SPDX-License-Identifier: Apache-2.0
"""Runs in a Blender with a window: no backend, then one; what a reconstruction will take; the live preview."""

import os
import sys

sys.path.insert(0, os.environ["ROOM"])
import bpy
import hands
from hands import ROOM, picture, until


def save_photos():
    """Over those that are there: real ones."""
    for i in range(6):
        image = bpy.data.images.new("photo", 640, 480)
        image.filepath_raw, image.file_format = str(ROOM / "photos" / "images" / f"{i}.png"), "PNG"
        image.save()
        bpy.data.images.remove(image)


def visit():
    now = hands.install()
    from bl_ext.user_default.milo import preferences
    from bl_ext.user_default.milo.protocol import pairing
    save_photos()
    mine = preferences.get()
    program, home = mine.backend_program, mine.backend_home
    mine.backend_program, mine.backend_home = "", str(ROOM / "nowhere")
    yield from hands.open_tab()
    choices, region = bpy.context.scene.milo, hands.view()[2]
    yield from picture("flow-1-no-backend")
    yield from hands.press("milo.copy_install_command", hands.EDGE)
    figures = {"copied": bpy.context.window_manager.clipboard}

    mine.backend_program, mine.backend_home = program, home
    choices.source, choices.folder = "FOLDER", str(ROOM / "photos")
    region.tag_redraw()
    yield from until(lambda: now.outlook.photos is not None)
    yield from hands.wait(3.5)   # until the panel looks for a backend again
    yield from picture("flow-2-no-estimate-yet")
    yield from hands.press("milo.start_backend", hands.RIGHT)
    yield from until(lambda: now.outlook.estimate is not None)
    yield from picture("flow-2-estimate")
    figures["estimated"] = [now.outlook.photos.count, now.outlook.estimate.width]

    yield from hands.press("milo.reconstruct")
    yield from until(lambda: now.preview.shown is not None and len(now.preview.course.losses) >= 2)
    yield from picture("flow-3-preview")
    first = now.preview.shown.seq
    yield from until(lambda: now.job_state == "finished" and now.preview.shown.seq != first)
    yield from picture("flow-4-preview-at-the-end")
    bpy.ops.milo.show_preview()
    yield from picture("flow-5-image-editor")
    figures["editor"] = list(bpy.data.images["MILo preview"].size)
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[-1]):
        bpy.ops.wm.window_close()
    code = pairing.PairingCode("gpu.example.org:5555", bytes(32), bytes(16)).text
    bpy.context.window_manager.clipboard = code
    window = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window, area=window.screen.areas[0]):
        bpy.ops.milo.pair("INVOKE_DEFAULT")
    yield from picture("flow-6-pairing")
    hands.result(trouble=str(now.trouble) if now.trouble else None, **figures)


hands.play(visit())
