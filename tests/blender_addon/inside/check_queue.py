# SPDX-License-Identifier: Apache-2.0
"""Pause, resume, cancel and the queue, from the panel's operators over real sockets to real workers."""

import os
import time

import bpy
import pytest

LONG = "fake.iterations=4000; fake.step_s=0.02; service.snapshot_interval_s=0"


@pytest.fixture
def session(session):
    from bl_ext.user_default.milo import preferences
    preferences.get().backend_program = os.environ["MILO_SERVICE_PROGRAM"]
    yield session
    if session.backend.pid:
        session.stop_backend()
        assert session.wait(lambda now: now.backend.state == "stopped", 20)


def reconstruct(session, photos, settings=LONG, state="running"):
    """Press Reconstruct; the job's id once it has that state."""
    milo, before = bpy.context.scene.milo, session.job
    milo.folder, milo.overrides = str(photos), settings
    assert bpy.ops.milo.reconstruct() == {"FINISHED"}
    assert session.wait(lambda now: now.job != before and now.job_state == state, 60), session.trouble
    return session.job


def seconds_until(session, condition, timeout_s=10.0):
    start = time.monotonic()
    assert session.wait(condition, timeout_s), (session.job_state, session.trouble)
    return time.monotonic() - start


@pytest.mark.parametrize("deaf", ["false", "true"])
def test_cancel_takes_less_than_two_seconds(session, photos, deaf):
    """Even if the worker does not listen."""
    reconstruct(session, photos, f"{LONG}; fake.deaf={deaf}")
    assert session.wait(lambda now: now.refreshes >= 1, 60), session.trouble
    bpy.ops.milo.cancel()
    assert seconds_until(session, lambda now: now.job_state == "cancelled") < 2.0
    assert "photos" in bpy.data.objects and session.trouble is None
    bpy.ops.milo.resume()                               # what was saved is still good
    assert session.wait(lambda now: now.job_state == "running", 20), session.trouble
    bpy.ops.milo.cancel()
    assert seconds_until(session, lambda now: now.job_state == "cancelled") < 2.0


def test_cancel_before_the_job_has_begun(session, photos):
    for i in range(300):
        (photos / "images" / f"large{i}.png").write_bytes(os.urandom(100_000))
    bpy.context.scene.milo.folder = str(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.starting, 60)
    bpy.ops.milo.cancel()
    assert seconds_until(session, lambda now: now.job_state == "") < 2.0
    assert session.trouble is None and bpy.context.scene.milo.job == ""
    with pytest.raises(RuntimeError, match="No reconstruction is running"):
        bpy.ops.milo.cancel()


def test_pause_lets_the_next_one_run_and_keeps_its_place(session, photos):
    first = reconstruct(session, photos)
    assert session.wait(lambda now: now.job_info.iteration > 5, 20)
    assert "memory" in session.job_info.note             # what it takes, for the panel
    second = reconstruct(session, photos, state="queued")
    third = reconstruct(session, photos, state="queued")
    assert session.wait(lambda now: [job.job for job in now.job_list.moving] == [first, second, third], 10)
    bpy.ops.milo.pause()                                 # one that waits
    assert seconds_until(session, lambda now: now.job_state == "paused") < 2.0

    bpy.ops.milo.show_job(job=first)
    assert session.wait(lambda now: now.job == first and now.job_state == "running", 10)
    bpy.ops.milo.pause()
    assert session.wait(lambda now: now.job_state == "paused", 20)
    at = session.job_info.iteration
    states = {}

    def known(now):
        states.update({job.job: job.state for job in now.job_list.jobs})
        return states
    assert session.wait(lambda now: known(now).get(second) == "running", 10), states
    bpy.ops.milo.resume()
    assert session.wait(lambda now: now.job_state == "queued", 10)
    with pytest.raises(RuntimeError, match="not paused"):
        bpy.ops.milo.resume()
    bpy.ops.milo.cancel_job(job=second)
    assert session.wait(lambda now: now.job_state == "running" and now.job_info.iteration > at, 20)
    assert known(session)[third] == "paused"
    bpy.ops.milo.cancel()
    assert seconds_until(session, lambda now: now.job_state == "cancelled") < 2.0


def test_a_paused_job_is_cancelled(session, photos):
    reconstruct(session, photos)
    assert session.wait(lambda now: now.job_info.iteration > 5, 20)
    bpy.ops.milo.pause()
    assert session.wait(lambda now: now.job_state == "paused", 20)
    bpy.ops.milo.cancel()
    assert seconds_until(session, lambda now: now.job_state == "cancelled") < 2.0
