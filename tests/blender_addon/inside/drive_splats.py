# SPDX-License-Identifier: Apache-2.0
"""Runs in a Blender with a window: splats among other objects in 3D Views and in F12, while Blender goes on."""

import os
import sys
import time

sys.path.insert(0, os.environ["ROOM"])
import bpy
import hands
from hands import picture, wait
from mathutils import Euler, Vector

RESULT = {}


def settled(live_view):
    """Wait until the view shows the newest in full."""
    yield from wait(0.3)
    while not (live_view.views() and all(view.up_to_date for view in live_view.views())):
        yield


def timed(module, name, times):
    """Have a function of the extension note how long it holds the main thread."""
    inner = getattr(module, name)

    def outer(*arguments, **named):
        start = time.perf_counter()
        try:
            return inner(*arguments, **named)
        finally:
            times.append(time.perf_counter() - start)
    setattr(module, name, outer)


def artist():
    for obj in list(bpy.data.objects):
        if obj.type == "MESH":
            bpy.data.objects.remove(obj)
    now = hands.install()
    from bl_ext.user_default.milo import live_view
    scene = bpy.context.scene
    scene.milo.source, scene.milo.folder = "FOLDER", str(hands.ROOM / "photos")
    scene.milo.overrides = 'fake.colour="blue"'
    bpy.ops.milo.reconstruct()
    while now.job_state != "finished" or not bpy.data.objects.get("photos") or now.poll():
        yield
    obj = bpy.data.objects["photos"]
    bpy.ops.mesh.primitive_cube_add(size=0.5, location=(0, 0.45, 0))
    cube = bpy.context.object
    yellow = bpy.data.materials.new("yellow")
    yellow.use_nodes = True
    yellow.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.9, 0.6, 0.1, 1)
    cube.data.materials.append(yellow)
    obj.select_set(False)
    cube.select_set(False)
    space = hands.view()[1]
    space.region_3d.view_perspective = "PERSP"
    space.region_3d.view_rotation = Euler((1.2, 0, 0.5)).to_quaternion()
    space.region_3d.view_location, space.region_3d.view_distance = Vector(), 3.0
    space.shading.type, space.shading.color_type, space.shading.background_type = "SOLID", "SINGLE", "VIEWPORT"
    space.shading.single_color, space.shading.background_color = (0.9, 0.6, 0.1), (0.2, 0.2, 0.2)
    yield from picture("splats-0-mesh")

    from bl_ext.user_default.milo.scene import splat_draw
    ticks, uploads = [], []
    timed(splat_draw.Texture, "__init__", uploads)
    timed(live_view, "tick", ticks)
    scene.milo_splats.show = True
    yield from settled(live_view)
    RESULT["bounds"] = obj.display_type
    yield from picture("splats-1-solid")

    scene.cycles.preview_samples, cover = 2, live_view.COVER
    for name, engine, shading in (("5-material", scene.render.engine, "MATERIAL"),
                                  ("6-eevee", scene.render.engine, "RENDERED"), ("7-cycles", "CYCLES", "RENDERED")):
        scene.render.engine, space.shading.type = engine, shading
        yield from wait(4.0)                            # shaders are compiled; Cycles takes its samples
        yield from settled(live_view)
        yield from picture(f"splats-{name}")
        if name == "6-eevee":                           # nearer than a twentieth of a scene that is large
            space.shading.type, live_view.COVER = "SOLID", 4.0
            yield from wait(0.3)
            space.shading.type = "RENDERED"
            yield from wait(1.0)
            yield from settled(live_view)
            yield from picture("splats-8-large")
            live_view.COVER = cover
    space.shading.type = "SOLID"
    yield from settled(live_view)

    view = live_view.views()[0]
    came, start = view.pictures, time.monotonic()
    for _ in range(20):                                 # posing: the object turns and moves
        obj.rotation_euler.z += 0.1
        obj.location.x -= 0.02
        yield from wait(0.1)
    RESULT["pictures_a_second"] = (view.pictures - came) / (time.monotonic() - start)
    yield from settled(live_view)
    RESULT["latency_ms"] = 1000 * view.latency
    yield from picture("splats-2-posed")
    came = view.pictures
    yield from wait(1.0)
    RESULT["pictures_at_rest"] = view.pictures - came

    space.region_3d.view_perspective = "ORTHO"
    yield from settled(live_view)
    yield from picture("splats-3-orthographic")
    space.region_3d.view_perspective = "PERSP"

    scene.render.engine = "MILO_SPLATS"
    space.shading.type = "RENDERED"
    yield from settled(live_view)
    yield from picture("splats-4-agx")
    scene.view_settings.view_transform = "Standard"
    yield from settled(live_view)
    yield from picture("splats-4-rendered")
    RESULT["longest_tick_ms"], RESULT["longest_upload_ms"] = 1000 * max(ticks), 1000 * max(uploads)
    RESULT["problems"] = [view.problem for view in live_view.views()]

    now.stop_backend()
    obj.location.x += 0.1
    while not any(view.problem for view in live_view.views()):
        yield
    RESULT["said"] = live_view.views()[0].problem
    scene.milo_splats.show = False
    RESULT["displayed"] = obj.display_type
    hands.result(**RESULT)


hands.play(artist())
