# SPDX-License-Identifier: Apache-2.0
"""A whole reconstruction from Python in background, over real sockets to a real process."""

import json
import os
import signal
import threading
import time

import bpy
import numpy as np
import pytest


def choose(photos, **choices):
    settings = bpy.context.scene.milo
    settings.source, settings.folder = "FOLDER", str(photos)
    for name, value in choices.items():
        setattr(settings, name, value)
    return settings


def asked(home, kind):
    return [text for name, text in map(json.loads, (home / "asked.jsonl").open()) if name == kind]


def test_photos_in_living_mesh_out(session, photos, tmp_path):
    settings = choose(photos, max_triangles=300, overrides="schedule.iterations=50; data.holdout=false")
    assert bpy.ops.milo.reconstruct() == {"FINISHED"}
    assert session.job_state == "starting"
    counts = []

    def finished(now):
        obj = bpy.data.objects.get("photos")
        if obj and (not counts or counts[-1] != (obj.milo.sequence, obj.milo.triangles)):
            counts.append((obj.milo.sequence, obj.milo.triangles))
        return now.job_state == "finished" and not now.poll()

    assert session.wait(finished, 30), session.trouble
    obj = bpy.data.objects["photos"]
    assert session.refreshes >= 3 and obj.milo.kind == "final"
    assert all(triangles <= 300 for _, triangles in counts[:-1])  # previews are reduced
    assert len(obj.data.polygons) == 2 * 31 * 64                  # the final mesh comes whole
    radius = np.linalg.norm([v.co for v in obj.data.vertices], axis=1)
    assert np.allclose(radius, 1.0, atol=1e-5)
    assert not obj.data.validate()
    assert [m.name for m in obj.data.materials] == ["MILo vertex colours"]
    assert settings.job == obj.milo.job == session.job

    start = asked(tmp_path / "home", "StartJob")[0]
    sent = sorted(start.split("path='")[1:])
    assert [path.split("'")[0] for path in sent] == [
        "images/0.png", "images/1.png", "images/2.png", "sparse/0/cameras.bin", "sparse/0/images.bin",
        "sparse/0/points3D.bin"]
    assert "preset=('preview',)" in start and "'schedule.iterations': 50, 'data.holdout': False" in start


def test_photos_are_sent_once(session, photos, tmp_path):
    choose(photos)
    for _ in range(2):
        bpy.ops.milo.reconstruct()
        assert session.wait(lambda now: now.job_state == "finished", 30), session.trouble
    assert len(asked(tmp_path / "home", "PutBlob")) == 6
    assert len([o for o in bpy.data.objects if o.type == "MESH"]) == 2  # a new job never touches an older result


def test_pause_resume_cancel(session, photos):
    choose(photos)
    with pytest.raises(RuntimeError, match="No reconstruction is running"):
        bpy.ops.milo.pause()
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.refreshes >= 1, 30), session.trouble
    bpy.ops.milo.pause()
    assert session.wait(lambda now: now.job_state == "paused", 10)
    shown = bpy.data.objects["photos"].milo.sequence
    assert not session.wait(lambda now: bpy.data.objects["photos"].milo.sequence > shown + 1, 0.5)
    bpy.ops.milo.resume()
    assert session.wait(lambda now: bpy.data.objects["photos"].milo.sequence > shown + 1, 10)
    bpy.ops.milo.cancel()
    assert session.wait(lambda now: now.job_state in ("cancelled", "finished"), 10)
    assert "photos" in bpy.data.objects


def test_a_paused_job_without_its_backend_cannot_be_cancelled(session, photos):
    choose(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.refreshes >= 1, 30), session.trouble
    bpy.ops.milo.pause()
    assert session.wait(lambda now: now.job_state == "paused", 10)
    bpy.ops.milo.stop_backend()
    assert session.wait(lambda now: now.backend.state == "stopped", 10)
    with pytest.raises(RuntimeError, match="start it first"):
        bpy.ops.milo.cancel()
    session.cancel()                                 # as the backend may end between the poll and the press
    session.poll()
    assert "No backend is running" in session.trouble.message


def test_live_mesh_off_still_brings_the_final_mesh(session, photos):
    choose(photos, live_mesh=False)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job_state == "running", 30)
    assert not session.wait(lambda now: now.refreshes, 0.4)
    bpy.context.scene.milo.live_mesh = True   # the test backend only trains when somebody looks
    assert session.wait(lambda now: now.refreshes == 2, 10)
    bpy.context.scene.milo.live_mesh = False
    assert session.wait(lambda now: not bpy.ops.milo.poll.poll() or now.job_info.mesh_seq >= 2, 5)
    seen = session.refreshes
    assert not session.wait(lambda now: now.refreshes > seen + 1, 0.5)   # one may be under way


def test_freeze_keeps_the_mesh(session, photos):
    choose(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.refreshes >= 1, 30)
    bpy.ops.milo.freeze()
    obj = bpy.data.objects["photos"]
    kept = (obj.milo.sequence, len(obj.data.vertices))
    assert not session.wait(lambda now: obj.milo.sequence != kept[0], 0.6)
    assert len(obj.data.vertices) == kept[1]
    bpy.ops.milo.freeze(freeze=False)
    assert session.wait(lambda now: obj.milo.kind == "final", 10)


def test_refresh_waits_for_edit_mode(session, photos):
    choose(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.refreshes >= 1, 30)
    obj = bpy.data.objects["photos"]
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    shown = obj.milo.sequence
    assert session.wait(lambda now: now.waiting, 10) and "Edit Mode" in session.waiting
    assert session.wait(lambda now: now.job_state == "finished", 10)
    assert obj.milo.sequence == shown
    bpy.ops.object.mode_set(mode="OBJECT")
    assert session.wait(lambda now: obj.milo.kind == "final", 10) and not session.waiting


def test_undo_does_not_lose_the_newest_mesh(session, photos):
    bpy.ops.ed.undo_push(message="before")
    choose(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 30)
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    assert "photos" not in bpy.data.objects
    assert session.wait(lambda now: "photos" in bpy.data.objects, 5)
    assert bpy.context.scene.milo.job == session.job
    assert bpy.data.objects["photos"].milo.kind == "final"


def test_backend_killed_in_the_middle(session, photos):
    choose(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.refreshes >= 2, 30), session.trouble
    os.kill(session.backend.pid, signal.SIGKILL)
    assert session.wait(lambda now: now.job_state == "interrupted", 10)
    assert "killed" in session.trouble.message and "mesh so far is kept" in session.trouble.message
    assert "Resume" in session.trouble.hint
    kept = bpy.data.objects["photos"].milo.sequence
    assert kept >= 2 and len(bpy.data.objects["photos"].data.vertices) > 0
    bpy.ops.milo.resume()
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 30), session.trouble
    assert session.trouble is None
    assert bpy.data.objects["photos"].milo.sequence > kept and bpy.data.objects["photos"].milo.kind == "final"


def test_a_saved_file_finds_its_job_again(session, photos, tmp_path):
    choose(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.refreshes >= 1, 30)
    bpy.ops.milo.pause()
    assert session.wait(lambda now: now.job_state == "paused", 10)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert session.wait(lambda now: now.job_state == "", 5)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert session.wait(lambda now: now.job_state == "paused", 10)
    bpy.ops.milo.resume()
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 10)
    assert bpy.data.objects["photos"].milo.kind == "final"


def test_a_job_that_ended_without_this_blender(session, photos, tmp_path):
    choose(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.refreshes >= 1, 30)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert session.wait(lambda now: now.job_state == "finished", 20)
    bpy.ops.milo.stop_backend()
    assert session.wait(lambda now: now.backend.state == "stopped", 10)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert session.job_state == "" and bpy.data.objects["photos"].milo.kind != "final"
    bpy.ops.milo.resume()
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 20), session.trouble
    assert bpy.data.objects["photos"].milo.kind == "final" and session.trouble is None
    assert not bpy.ops.milo.resume.poll()


def test_nothing_is_left_when_the_backend_stops(session, photos):
    bpy.ops.milo.start_backend()
    assert session.wait(lambda now: now.backend.state == "ready", 20), session.trouble
    assert session.backend.device == "cpu, fake"
    pid = session.backend.pid
    bpy.ops.milo.stop_backend()
    assert session.wait(lambda now: now.backend.state == "stopped", 10)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert session.trouble is None
    assert {t.name for t in threading.enumerate()} == {"MainThread"}


def test_splats_from_the_scene_camera(session, photos, tmp_path):
    choose(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 30)
    scene, obj = bpy.context.scene, bpy.data.objects["photos"]
    with pytest.raises(RuntimeError, match="no camera"):
        bpy.ops.milo.render_splats()
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.location = (1, -4, 2)
    camera.rotation_euler = (1.1, 0.1, 0.2)
    scene.render.resolution_x, scene.render.resolution_y = 40, 30
    obj.location, obj.rotation_euler, obj.scale = (0.3, 0.2, 0.1), (0.4, 0.5, 0.6), (2, 2, 2)
    assert bpy.ops.milo.render_splats() == {"FINISHED"}
    image = bpy.data.images["MILo splats"]
    assert tuple(image.size) == (40, 30)
    pixels = np.array(image.pixels[:]).reshape(30, 40, 4)
    assert np.allclose(pixels[-1, :, 0], 200 / 255, atol=1e-3) and pixels[:-1, :, 0].max() == 0   # rows bottom up

    question = json.loads((tmp_path / "home" / "picture.json").read_text())
    viewmat, K = np.reshape(question["viewmat"], (4, 4)), np.reshape(question["K"], (3, 3))
    assert np.allclose(viewmat[:3, :3] @ viewmat[:3, :3].T, np.eye(3), atol=1e-5)
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector
    rest = Vector((0.2, -0.3, 0.4))
    p = K @ (viewmat @ [*rest, 1])[:3]
    expected = world_to_camera_view(scene, camera, obj.matrix_world @ rest)
    assert np.allclose(p[:2] / p[2], (expected.x * 40, (1 - expected.y) * 30), atol=1e-3)
    assert np.isclose(2 * p[2], expected.z, atol=1e-4)

    obj.scale = (1, 2, 1)
    with pytest.raises(RuntimeError, match="stretched"):
        bpy.ops.milo.render_splats()


def test_the_poll_keeps_to_its_budget(session, photos):
    choose(photos)
    bpy.ops.milo.reconstruct()
    slowest = 0.0
    end = time.monotonic() + 30
    while session.job_state != "finished" and time.monotonic() < end:
        seen, start = session.refreshes, time.perf_counter()
        session.poll()
        if session.refreshes == seen:   # applying a mesh takes what it takes
            slowest = max(slowest, time.perf_counter() - start)
        time.sleep(0.01)
    assert session.job_state == "finished" and slowest < 0.15
