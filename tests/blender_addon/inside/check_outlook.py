# SPDX-License-Identifier: Apache-2.0
"""Before a reconstruction starts: how many photos, how long, how much memory. With the real service."""

import os
import time

import bpy
import pytest


@pytest.fixture
def session(session):
    from bl_ext.user_default.milo import preferences
    preferences.get().backend_program = os.environ["MILO_SERVICE_PROGRAM"]
    yield session
    if session.backend.pid:
        session.stop_backend()
        assert session.wait(lambda now: now.backend.state == "stopped", 20)


def shown(session, condition=lambda outlook: outlook.estimate or outlook.problem, timeout_s=60):
    """Draw until the condition holds, as a panel does."""
    def look(now):
        now.outlook.show()
        return condition(now.outlook)
    assert session.wait(look, timeout_s), (session.outlook.photos, session.trouble)
    return session.outlook


def test_time_and_memory_follow_the_choices(session, photos):
    settings = bpy.context.scene.milo
    settings.source, settings.folder, settings.preset = "FOLDER", str(photos), "preview"
    outlook = shown(session, lambda outlook: outlook.photos)
    assert (outlook.photos.count, outlook.photos.width, outlook.photos.height) == (3, 8, 6)
    assert outlook.estimate is None                     # nobody to ask yet
    bpy.ops.milo.start_backend()
    preview = shown(session).estimate
    assert preview.seconds > 0 and preview.memory < preview.available and not preview.measured
    settings.preset = "default"
    assert shown(session, lambda outlook: outlook.estimate != preview).estimate.seconds > preview.seconds
    settings.overrides = "data.nonsense=3"
    assert "nonsense" in shown(session, lambda outlook: outlook.problem).problem.message
    settings.overrides, settings.preset = "", "preview"
    assert shown(session, lambda outlook: outlook.estimate == preview).problem is None
    settings.folder = str(photos / "sparse")
    assert "no photos" in shown(session, lambda outlook: outlook.problem).problem.message
    assert session.outlook.estimate is None


def test_nothing_is_asked_while_nobody_looks(session, photos):
    settings = bpy.context.scene.milo
    settings.source, settings.folder = "FOLDER", str(photos)
    assert not session.wait(lambda now: now.outlook.photos, 0.3)


def test_no_step_takes_long(session, photos):
    """Photos are counted and looked at on a thread: many of them do not hold Blender up."""
    for i in range(500):
        (photos / "images" / f"more{i}.png").write_bytes((photos / "images" / "0.png").read_bytes())
    settings = bpy.context.scene.milo
    settings.source, settings.folder = "FOLDER", str(photos)
    session.outlook.show()
    slowest, end = 0.0, time.monotonic() + 20
    while session.outlook.photos is None and time.monotonic() < end:
        start = time.thread_time()
        session.outlook.step()
        slowest = max(slowest, time.thread_time() - start)
        time.sleep(0.005)
    assert session.outlook.photos.count == 503 and slowest < 0.02


def test_sizes_are_read_from_the_first_bytes(milo, make_photo, tmp_path):
    size_of = milo("connection.photo_size").size_of
    assert size_of(make_photo("a.png", 30, 20)) == (30, 20)
    image = bpy.data.images.new("b", 44, 26)
    for kind, name in (("JPEG", "b.jpg"), ("TIFF", "b.tif"), ("BMP", "b.bmp"), ("WEBP", "b.webp")):
        image.filepath_raw, image.file_format = str(tmp_path / name), kind
        image.save()
        assert size_of(tmp_path / name) == (44, 26), kind
    for data in (b"", b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"text", b"RIFF0000WEBPVP8X",
                 b"II*\0\x08\0\0\0\xff\xff" + bytes(40)):
        (tmp_path / "broken").write_bytes(data)
        assert size_of(tmp_path / "broken") is None


def test_cameras_of_the_scene_are_counted(session, make_photo):
    scene = bpy.context.scene
    for i in range(4):
        camera = bpy.data.objects.new(f"camera {i}", bpy.data.cameras.new("camera"))
        scene.collection.objects.link(camera)
        camera.data.show_background_images = True
        camera.data.background_images.new().image = bpy.data.images.load(str(make_photo(f"{i}.png", 64, 48)))
    scene.milo.source = "CAMERAS"
    photos = shown(session, lambda outlook: outlook.photos).photos
    assert (photos.count, photos.width, photos.height) == (4, 64, 48)


def test_words(milo):
    words = milo("panels.words")
    assert [words.about(s) for s in (20, 100, 170, 700, 4000, 9000, 90_000)] == [
        "Less than a minute", "About 2 min", "About 3 min", "About 10 min", "About 65 min", "About 2.5 h", "About 25 h"]
    assert [words.size(n * 2**20) for n in (307, 1000, 3000, 20_000)] == ["310 MB", "1.0 GB", "2.9 GB", "20 GB"]
