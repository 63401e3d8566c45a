# SPDX-License-Identifier: Apache-2.0
"""The live preview with the real service: a training view beside its photo, and the course of loss and PSNR."""

import json
import os
import time

import bpy
import numpy as np
import pytest

FAST = "service.snapshot_interval_s=0; fake.iterations={}; fake.step_s=0.03; fake.snapshot_every=5"


@pytest.fixture
def session(session):
    from bl_ext.user_default.milo import preferences
    preferences.get().backend_program = os.environ["MILO_SERVICE_PROGRAM"]
    yield session
    if session.backend.pid:
        session.stop_backend()
        assert session.wait(lambda now: now.backend.state == "stopped", 20)


def reconstruct(photos, iterations):
    settings = bpy.context.scene.milo
    settings.folder, settings.overrides = str(photos), FAST.format(iterations)
    bpy.ops.milo.reconstruct()


def pixels(milo, name):
    icon = milo("scene.pictures")._icons[name]
    width, height = icon.image_size
    flat = np.empty(width * height, np.int32)
    icon.image_pixels.foreach_get(flat)
    return flat.view(np.uint8).reshape(height, width, 4)


def test_a_view_beside_its_photo(session, milo, photos):
    reconstruct(photos, 60)
    iterations = set()

    def watched(now):
        now.preview.look()
        if now.preview.shown:
            iterations.add(now.preview.shown.iteration)
        return now.job_state == "finished" and not now.poll()
    assert session.wait(watched, 60), session.trouble
    assert len(iterations) >= 3 and max(iterations) >= 50
    assert (pixels(milo, "photo") == (200, 200, 200, 255)).all()
    assert (pixels(milo, "rendering")[..., :3] == session.preview.shown.iteration).all()

    course = session.preview.course
    def drawn(now):
        now.preview.look()
        return course.read and now.preview.state[1] == course.state
    assert session.wait(drawn, 10)
    assert {k: course.losses[k] for k in range(5, 61, 5)} == pytest.approx({k: 1 / k for k in range(5, 61, 5)})
    assert 20.0 in course.psnrs.values()
    curve = pixels(milo, "curve")
    lit = (curve[1:-1, 1:-1] == milo("course").LOSS).all(-1)
    assert lit.any(0).mean() > 0.8
    assert lit[:, 40].nonzero()[0].mean() > lit[:, 130].nonzero()[0].mean()     # it falls


def test_nothing_is_asked_while_it_is_hidden(session, milo, photos):
    reconstruct(photos, 40)
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 60), session.trouble
    assert session.preview.shown is None and session.preview.course.read == 0
    session.preview.look()
    assert session.wait(lambda now: now.preview.shown and now.preview.course.read, 10)   # what was missed comes now


def test_long_metrics_are_read_to_their_end(session, milo, photos, monkeypatch):
    monkeypatch.setattr(milo("preview"), "PIECE_BYTES", 150)
    reconstruct(photos, 60)
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 60), session.trouble
    lines = [json.dumps({"iteration": k, "gaussians": 1000, "loss": 1 / k}) + "\n" for k in range(5, 61, 5)]
    size = len("".join(lines))
    assert size > 3 * 150
    assert session.wait(lambda now: now.preview.look() or now.preview.course.read == size, 10)


def test_the_image_editor_shows_it(session, milo, photos):
    with pytest.raises(RuntimeError, match="no picture yet"):
        bpy.ops.milo.show_preview()
    reconstruct(photos, 20)
    assert session.wait(lambda now: now.preview.look() or now.preview.shown, 30), session.trouble
    bpy.ops.milo.show_preview()
    image = bpy.data.images["MILo preview"]
    assert tuple(image.size) == (16, 6)
    values = np.empty(16 * 6 * 4, np.float32)
    image.pixels.foreach_get(values)
    values = (values.reshape(6, 16, 4) * 255).round()
    assert (values[:, :8, 0] == 200).all() and (values[:, 8:, 0] == session.preview.shown.iteration).all()


def test_pictures_of_another_job_go(session, milo, photos):
    reconstruct(photos, 15)
    assert session.wait(lambda now: now.preview.look() or (now.job_state == "finished" and now.preview.shown), 30)
    first = session.job
    reconstruct(photos, 4)                       # too short for a picture
    assert session.wait(lambda now: now.preview.look() or (now.job != first and now.job_state == "finished"), 30)
    assert session.preview.shown is None and "photo" not in milo("scene.pictures")._icons


def test_metrics_are_read_in_pieces(milo):
    course = milo("course").Course()
    lines = [json.dumps({"iteration": k, "loss": 1 / k}) for k in (10, 20)]
    lines += ['{"iteration": 20, "psnr": 31.0}', '{"iteration": 30, "event": "clone"}', "rubbish", '{"loss": 3}',
              '{"iteration": 40, "loss": NaN}']
    data = ("\n".join(lines) + '\n{"iteration": 50,').encode()
    course.take_in(data[:70], 0)
    assert course.losses == {10: 0.1, 20: 0.05} or course.losses == {10: 0.1}
    course.take_in(data[course.read:], course.read)
    course.take_in(data, 0)                      # an answer that comes late
    assert course.losses == {10: 0.1, 20: 0.05} and course.psnrs == {20: 31.0}
    assert data[course.read:] == b'{"iteration": 50,'


def test_drawing_a_long_course_is_quick(milo):
    course = milo("course").Course()
    for k in range(1, 30_000):
        course.add(k, 1 / k, 20 + k // 6000)
    start = time.thread_time()
    image = milo("course").picture(course, 30_000)
    assert time.thread_time() - start < 0.02 and image.shape == (*milo("course").SIZE, 4)
    assert len(course.losses) <= milo("course").MOST and len(course.psnrs) == 5
    assert (image == milo("course").PSNR).all(-1).sum() >= 5 * 20
    assert milo("course").picture(milo("course").Course(), 0).any()      # nothing yet: a frame
