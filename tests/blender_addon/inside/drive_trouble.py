# SPDX-License-Identifier: Apache-2.0
"""Runs in a Blender with a window: the manual from the panel's header, and a folder that is not there."""

import os
import sys

sys.path.insert(0, os.environ["ROOM"])
import bpy
import hands


def artist():
    now = hands.install()
    yield from hands.open_tab()
    yield from hands.press("milo.help", hands.EDGE)
    yield from hands.wait(1.0)
    windows = bpy.context.window_manager.windows
    manual = any(area.type == "TEXT_EDITOR" for area in windows[-1].screen.areas)
    with bpy.context.temp_override(window=windows[-1]):
        bpy.ops.wm.window_close()
    yield from hands.wait(0.5)
    choices = bpy.context.scene.milo
    choices.source = "FOLDER"
    yield from hands.fill_in("milo.folder", str(hands.ROOM / "nowhere"))
    yield from hands.press("milo.reconstruct")
    yield from hands.until(lambda: now.trouble is not None, 60)
    yield from hands.picture("trouble")
    hands.result(manual=manual, trouble=str(now.trouble))


hands.play(artist())
