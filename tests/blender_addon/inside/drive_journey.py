# SPDX-License-Identifier: Apache-2.0
"""Runs in a Blender with a window: from photos to a mesh with real clicks; saves and quits while the job goes on."""

import os
import sys
import time

sys.path.insert(0, os.environ["ROOM"])
import bpy
import hands
from hands import keys, picture, press, until, wait
from my_work import kept, work_on

# Small and quick, but with no end before the other Blender cancels it.
SHRUNK = ("data.max_width=128; model.max_gaussians=6000; mesh.max_points=15000; schedule.iterations=30000; "
          "mesh.start_iter=601; mesh.stop_iter=30000; mesh.sdf_stop_iter=801; densify.until_iter=300; "
          "densify.simplify1_iter=300; densify.simplify2_iter=400; run.evaluate_at=[]; "
          "run.provisional_at=[60, 120, 240, 360, 480, 600]; run.snapshot_interval=40; extract.refine_iters=40")


def over_the_view():
    main = hands.view()[3]
    yield from hands.move(main, 0.4 * main.width, 0.5 * main.height)


def artist():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    now = hands.install()
    bpy.context.preferences.addons["bl_ext.user_default.milo"].preferences.outlives = True
    choices = bpy.context.scene.milo
    hands.view()[1].shading.color_type = "VERTEX"
    yield from hands.open_tab()
    yield from picture("journey-1-tab")

    yield from press("milo.start_backend", hands.RIGHT)
    yield from until(lambda: now.backend.state == "ready")
    yield from press("milo.source", hands.RIGHT)
    yield from keys("p")                       # the underlined letter of Photos in the menu
    assert choices.source == "PHOTOS", choices.source
    yield from hands.fill_in("milo.photo_folder", str(hands.ROOM / "photos"))
    yield from press("milo.check_photos")
    yield from until(lambda: now.photos.report is not None and not now.photos.busy)
    yield from picture("journey-2-checked")
    checked = now.photos.report.verdict

    yield from press("milo.align", hands.RIGHT)
    yield from until(lambda: now.photos.info is not None and now.photos.info.stage in ("matching", "mapping"))
    yield from picture("journey-3-aligning")
    yield from until(lambda: now.trouble or (choices.solved is not None and not now.photos.busy))
    assert not now.trouble, now.trouble
    yield from over_the_view()
    yield from keys("Home")
    yield from picture("journey-4-aligned")
    cameras = sum(obj.type == "CAMERA" for obj in choices.solved.objects)

    bpy.ops.wm.save_as_mainfile(filepath=str(hands.ROOM / "scene.blend"))
    choices.overrides, choices.max_triangles = SHRUNK, 6000   # windows without a GPU draw slowly
    start = time.monotonic()
    yield from press("milo.reconstruct")
    yield from until(lambda: now.refreshes or now.trouble)
    assert not now.trouble, now.trouble
    first_mesh_s = time.monotonic() - start
    yield from picture("journey-5-first-mesh")

    obj = next(obj for obj in bpy.data.objects if obj.milo.job == choices.job)
    work_on(obj)
    polls = hands.Stopwatch(now)
    seen = now.refreshes
    yield from until(lambda: now.refreshes >= seen + 2)
    survived = kept(obj)
    yield from picture("journey-6-my-work-survives")

    yield from press("milo.freeze")
    assert obj.milo.frozen
    seen, there = now.refreshes, obj.milo.sequence
    yield from until(lambda: now.job_info.mesh_seq > there + 1)
    yield from wait(1.0)
    frozen = now.refreshes == seen and obj.milo.sequence == there
    yield from picture("journey-7-frozen")

    yield from over_the_view()
    yield from keys("ctrl+s")
    yield from until(lambda: not bpy.data.is_dirty, 10)
    hands.result(checked=checked, cameras=cameras, first_mesh_s=first_mesh_s, frozen=frozen, state=now.job_state,
                 job=choices.job, survived=survived, **polls.figures())


hands.play(artist())
