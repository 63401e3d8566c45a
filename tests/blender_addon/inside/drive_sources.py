# SPDX-License-Identifier: Apache-2.0
"""Runs in a Blender with a window: a sidebar of half its width, points cropped to the region, frames of a moving camera
taken by a click, and the panel in another language."""

import os
import sys
from types import SimpleNamespace

sys.path.insert(0, os.environ["ROOM"])
import bpy
import hands
import numpy as np

GERMAN = {("*", "Cameras with a photo: {}"): "Kameras mit Foto: {}", ("Operator", "Take Frames"): "Bilder entnehmen"}


def narrow():
    """Drag the sidebar's edge, which can be grasped somewhere next to it."""
    region, window = hands.view()[2], bpy.context.window_manager.windows[0]
    wide, y = region.width, window.height - region.y - region.height // 2
    for beside in (6, 5, 7, 4, 8):
        left, right = region.x + beside, region.x + wide - 150
        yield from hands.xdotool("mousemove", left - 3, y)
        yield from hands.wait(0.3)
        yield from hands.xdotool("mousemove", left, y)
        yield from hands.wait(0.3)
        yield from hands.xdotool("mousedown", 1)
        for share in range(1, 9):
            yield from hands.xdotool("mousemove", left + (right - left) * share // 8, y)
            yield from hands.wait(0.2)
        yield from hands.xdotool("mouseup", 1)
        yield from hands.wait(0.5)
        if region.width < wide:
            return


def moving_camera():
    camera = bpy.data.objects["Camera"]
    image = bpy.data.images.load(str(hands.ROOM / "sequence" / "shot_0001.png"))
    image.source = "SEQUENCE"
    camera.data.show_background_images = True
    background = camera.data.background_images.new()
    background.image, user = image, background.image_user
    user.frame_start, user.frame_duration = 1, 6
    for frame in (1, 6):
        camera.location.x = 7 + frame / 10
        camera.keyframe_insert("location", frame=frame)
    return camera


def artist():
    hands.install()
    from bl_ext.user_default.milo.panels import frames
    from bl_ext.user_default.milo.scene import solved
    scene, (_, space, region, _) = bpy.context.scene, hands.view()
    yield from hands.open_tab()
    wide = region.width
    yield from narrow()

    bpy.data.objects.remove(bpy.data.objects["Cube"])
    space.region_3d.view_distance = 6
    points = np.random.default_rng(0).normal(size=(3000, 3)).astype(np.float32)
    scene.milo.source = "PHOTOS"
    solved.build(scene, "walk", SimpleNamespace(cameras=(), photos=52, models=(26, 26), points=points,
                                                colors=np.full((3000, 3), 200, np.uint8)), hands.ROOM)
    bpy.ops.milo.add_region()
    scene.milo.region.scale = (1, 1, 0.6)
    yield from hands.picture("sources-1-narrow-cropped")
    scene.milo.crop_preview = False
    yield from hands.picture("sources-2-not-cropped")

    camera = moving_camera()
    scene.frame_start, scene.frame_end = 1, 6
    scene.milo.source, scene.milo.frames.count = "CAMERAS", 2
    yield from hands.wait(0.5)
    yield from hands.press("milo.take_frames")
    yield from hands.until(lambda: camera.milo.taken, 60)
    bpy.app.translations.register("milo test", {"de_DE": GERMAN})
    view = bpy.context.preferences.view
    view.language, view.use_translate_interface = "de_DE", True
    yield from hands.wait(2.0)
    yield from hands.picture("sources-3-taken-german")
    hands.result(wide=wide, narrow=region.width, taken=[obj.name for obj in camera.milo.taken.objects],
                 scenes=len(bpy.data.scenes), says=frames.iface_("Cameras with a photo: {}").format(2))


hands.play(artist())
