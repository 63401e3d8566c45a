# SPDX-License-Identifier: Apache-2.0
"""The add-on with the real service: real server, real worker processes; only the training is a stand-in."""

import os
import signal
import time

import bpy
import numpy as np
import pytest


@pytest.fixture
def session(session):
    from bl_ext.user_default.milo import preferences
    preferences.get().backend_program = os.environ["MILO_SERVICE_PROGRAM"]
    yield session
    if session.backend.pid:   # disabling the add-on lets it save and end by itself; the next test starts afresh
        session.stop_backend()
        assert session.wait(lambda now: now.backend.state == "stopped", 20)


def reconstruct(photos, settings, **choices):
    milo = bpy.context.scene.milo
    milo.folder, milo.overrides = str(photos), settings
    for name, value in choices.items():
        setattr(milo, name, value)
    bpy.ops.milo.reconstruct()


def ended(session):
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 60), session.trouble


FAST = "service.snapshot_interval_s=0; fake.iterations=40; fake.step_s=0.03; fake.snapshot_every=5; fake.triangles=5000"


def test_photos_in_living_mesh_out(session, photos):
    reconstruct(photos, FAST + "; fake.iterations=80")
    ended(session)
    obj = bpy.data.objects["photos"]
    assert session.refreshes >= 3 and obj.milo.kind == "final"
    assert len(obj.data.polygons) == obj.milo.triangles > 4000
    height = np.mean([v.co.z for v in obj.data.vertices])
    assert 79.9 < height < 80.1   # of the last iteration, not of a preview
    assert not obj.data.validate()
    assert session.wait(lambda now: now.backend.device not in ("", "probing"), 60)

    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    bpy.context.scene.render.resolution_x, bpy.context.scene.render.resolution_y = 64, 48
    bpy.ops.milo.render_splats()
    assert tuple(bpy.data.images["MILo splats"].size) == (64, 48)


def test_pause_and_resume(session, photos):
    reconstruct(photos, FAST)
    assert session.wait(lambda now: now.refreshes >= 2, 60), session.trouble
    bpy.ops.milo.pause()
    assert session.wait(lambda now: now.job_state == "paused", 20)
    at = session.job_info.iteration
    bpy.ops.milo.resume()
    assert session.wait(lambda now: now.job_info.iteration > at, 20)
    ended(session)


def test_server_killed_in_the_middle(session, photos):
    reconstruct(photos, FAST)
    assert session.wait(lambda now: now.refreshes >= 2, 60), session.trouble
    bpy.ops.milo.pause()
    assert session.wait(lambda now: now.job_state == "paused", 20)
    bpy.ops.milo.resume()
    assert session.wait(lambda now: now.job_state == "running", 20)
    os.kill(session.backend.pid, signal.SIGKILL)
    assert session.wait(lambda now: now.job_state == "interrupted", 20)
    assert "mesh so far is kept" in session.trouble.message
    kept = bpy.data.objects["photos"].milo.sequence
    bpy.ops.milo.resume()
    ended(session)
    assert bpy.data.objects["photos"].milo.sequence > kept and session.trouble is None


def test_worker_that_dies(session, photos):
    reconstruct(photos, FAST + '; fake.die="signal"; fake.die_at=20')
    assert session.wait(lambda now: now.job_state == "failed", 60)
    assert session.trouble.message and session.backend.state == "ready"
    assert session.wait(lambda now: not now.poll(), 20)
    assert len(bpy.data.objects["photos"].data.vertices)   # the last mesh stays
    reconstruct(photos, FAST)
    ended(session)


def test_photo_that_is_none(session, photos):
    reconstruct(photos, FAST + '; fake.die="error"; fake.die_at=3')
    assert session.wait(lambda now: now.job_state == "failed", 60)
    assert "a.jpg: this is not a photo" in session.trouble.message


def test_cancel(session, photos):
    reconstruct(photos, FAST + "; fake.iterations=4000")
    assert session.wait(lambda now: now.refreshes >= 1, 60), session.trouble
    bpy.ops.milo.cancel()
    assert session.wait(lambda now: now.job_state == "cancelled", 5)
    assert "photos" in bpy.data.objects


def test_work_is_saved_when_the_add_on_ends(session, photos, milo):
    """Switched off in the middle of a job: no process is left, and the job goes on where it was."""
    reconstruct(photos, FAST + "; fake.iterations=100")
    assert session.wait(lambda now: now.job_info and now.job_info.iteration > 10, 60), session.trouble
    pid, at, job, home = session.backend.pid, session.job_info.iteration, session.job, session.backend.home
    milo("session").unregister()
    end = time.monotonic() + 20
    while milo("connection.endpoint").process_alive(pid) and time.monotonic() < end:
        os.waitpid(-1, os.WNOHANG)
        time.sleep(0.05)
    assert not milo("connection.endpoint").process_alive(pid) and not (home / "connection.json").exists()
    again = milo("session").current()
    bpy.ops.milo.resume()
    assert again.wait(lambda now: now.job_info and now.job_info.state == "running", 30), again.trouble
    assert again.job == job and again.wait(lambda now: now.job_info.iteration > 0, 20)
    assert again.job_info.iteration >= at
    ended(again)
    again.stop_backend()
    assert again.wait(lambda now: now.backend.state == "stopped", 20)
