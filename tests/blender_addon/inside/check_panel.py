# SPDX-License-Identifier: Apache-2.0
"""What the panel offers beyond the one button: options, the queue, the pace of live meshes."""

import json
import time
from itertools import pairwise

import bpy
import pytest


def choose(photos, **choices):
    settings = bpy.context.scene.milo
    settings.source, settings.folder = "FOLDER", str(photos)
    for name, value in choices.items():
        setattr(settings, name, value)
    return settings


def finished(now):
    return now.job_state == "finished" and not now.poll()


def test_every_option_of_the_backend_is_there(milo):
    options = milo("options")
    assert len(options.all_options()) > 100
    assert options.all_options()["data.holdout"].default is True
    assert all(option.meaning for option in options.all_options().values())
    assert {name for name, _, _ in options.sections()} >= {"data", "model", "schedule", "mesh", "region"}
    for item in bpy.context.scene.milo.bl_rna.properties["preset"].enum_items:
        assert set(options.preset(item.identifier)) <= set(options.all_options())
    assert options.preset("preview")["schedule.iterations"] == 2000


def test_options_are_changed_and_given_back(milo):
    settings = bpy.context.scene.milo
    settings.preset, settings.overrides = "preview", "data.max_width=600"

    def set_option(key, value):
        return bpy.ops.milo.set_option(key=key, value=value)
    set_option("schedule.iterations", "800")
    set_option("data.images", "my photos")
    set_option("data.holdout", "false")
    set_option("model.initial_opacity", "1")
    assert milo("options").parse(settings.overrides) == {
        "data.max_width": 600, "schedule.iterations": 800, "data.images": "my photos", "data.holdout": False,
        "model.initial_opacity": 1}
    set_option("schedule.iterations", "2000")        # as the preset has it
    set_option("data.images", "")
    assert set(milo("options").parse(settings.overrides)) == {"data.max_width", "data.holdout", "model.initial_opacity"}
    for key, value, why in (("schedule.iterations", "many", "a whole number"), ("data.holdout", "1", "true or false")):
        before = settings.overrides
        with pytest.raises(RuntimeError, match=why):
            set_option(key, value)
        assert settings.overrides == before


def test_a_second_reconstruction_waits_its_turn(session, photos):
    """Both objects get their final meshes, whichever is followed."""
    settings = choose(photos)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.refreshes >= 1, 30), session.trouble
    first = settings.job
    bpy.data.objects["photos"].name = "first"
    assert bpy.ops.milo.reconstruct() == {"FINISHED"}
    assert session.wait(lambda now: now.job != first and finished(now), 30), session.trouble
    assert bpy.data.objects["photos"].milo.kind == bpy.data.objects["first"].milo.kind == "final"
    assert bpy.data.objects["first"].milo.job == first

    assert session.wait(lambda now: [job.state for job in now.job_list.jobs] == ["finished"] * 2, 10)
    bpy.ops.milo.show_job(job=first)
    assert session.wait(lambda now: now.job == settings.job == first and finished(now), 10)
    bpy.ops.milo.delete_job(job=first)
    assert session.wait(lambda now: len(now.job_list.jobs) == 1, 10)
    assert settings.job == "" and session.job == "" and "first" in bpy.data.objects


def test_a_job_that_is_not_deleted_is_followed_on(session, photos):
    kept = photos.rename(photos.with_name("kept"))   # this one the test backend does not delete
    settings = choose(kept)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.refreshes, 30), session.trouble
    job = session.job
    bpy.ops.milo.delete_job(job=job)
    assert session.job == settings.job == job         # nobody has answered yet
    assert session.wait(lambda now: now.trouble, 10)
    assert session.trouble.message == "The reconstruction was not deleted. Its finishing is under way."
    assert session.trouble.hint == "Cancel that first."
    assert session.wait(finished, 30) and session.job == settings.job == job

    session.stop_backend()
    assert session.wait(lambda now: now.backend.state == "stopped", 10)
    session.job_list.delete(job)                               # the backend ends while the question is open
    assert session.wait(lambda now: now.trouble, 10) and settings.job == job
    assert session.trouble.message.startswith("The reconstruction was not deleted.")


def test_a_waiting_job_is_cancelled_from_the_list(session, photos):
    choose(photos, live_mesh=False)
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job_list.moving, 30)
    bpy.ops.milo.cancel_job(job=session.job)
    assert session.wait(lambda now: now.job_state == "cancelled" and not now.job_list.moving, 10)


def test_live_meshes_keep_their_pace(session, photos):
    choose(photos, refresh_s=0.6)
    bpy.ops.milo.reconstruct()
    times = []

    def watch(now):
        if now.refreshes > len(times):
            times.append(time.monotonic())
        return finished(now)
    assert session.wait(watch, 30), session.trouble
    assert len(times) >= 3 and min(b - a for a, b in pairwise(times[:-1])) > 0.5


def test_settings_reach_the_backend(session, photos, tmp_path):
    choose(photos, preset="high", overrides="schedule.iterations=50")
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job, 30), session.trouble
    start = next(text for kind, text in map(json.loads, (tmp_path / "home" / "asked.jsonl").open())
                 if kind == "StartJob")
    assert "preset=('high',)" in start and "'schedule.iterations': 50" in start


def test_the_manual_opens(milo):
    assert bpy.ops.milo.help() == {"FINISHED"}
    assert bpy.data.texts["MILo manual"].as_string().startswith("# MILo in Blender")
