# SPDX-License-Identifier: Apache-2.0
"""Splats stay with the .blend, beside it or in it, and go to a backend that has never seen them: real services."""

import io
import os
import shutil
import threading
import zipfile
from concurrent.futures import Future
from pathlib import Path

import bpy
import numpy as np
import pytest

OTHERS = {"mesh.ply", "config.json", "run.json", "cameras.json"}


def module():
    """The add-on's module, which is there once the add-on is enabled."""
    from bl_ext.user_default.milo.scene import stored_splats
    return stored_splats


@pytest.fixture
def session(session, tmp_path):
    """With the sample scene reconstructed, in a saved .blend."""
    from bl_ext.user_default.milo import preferences
    preferences.get().backend_program = os.environ["MILO_SERVICE_PROGRAM"]
    milo = bpy.context.scene.milo
    milo.source, milo.folder = "FOLDER", os.environ["MILO_SAMPLE_SCENE"]
    milo.overrides = f'fake.iterations=1; fake.run="{os.environ["MILO_SAMPLE_RUN"]}"'
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 60), session.trouble
    assert not bpy.ops.milo.save_splats.poll()            # nowhere to save them yet
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "thing.blend"))
    yield session
    stop(session)


def stop(session):
    if session.backend.pid:
        session.stop_backend()
        assert session.wait(lambda now: now.backend.state == "stopped", 60)


def save(session, kind):
    assert bpy.ops.milo.save_splats(format=kind) == {"FINISHED"} and not bpy.ops.milo.save_splats.poll()
    assert session.wait(lambda now: not now.storing.busy, 60) and not session.storing.problem, session.storing.problem


def pack(session):
    """Not on the main thread: that may take seconds."""
    assert bpy.ops.milo.pack_splats() == {"FINISHED"} and not bpy.ops.milo.pack_splats.poll() and not stored().packed
    assert session.wait(lambda now: not now.storing.busy, 60) and not session.storing.problem, session.storing.problem
    assert stored().packed and bpy.data.is_dirty


def stored():
    return module().find(bpy.context.scene, bpy.context.scene.milo.job)


def picture():
    if bpy.context.scene.camera is None:
        bpy.context.scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
        bpy.context.scene.collection.objects.link(bpy.context.scene.camera)
    return bpy.ops.milo.render_splats()


def test_saved_packed_and_given_to_another_backend(session, milo, tmp_path):
    splat_files = milo("splat_files")
    assert not bpy.ops.milo.pack_splats.poll() and not bpy.ops.milo.restore_splats.poll()
    save(session, "spz")
    folder = tmp_path / "thing_splats" / "suzanne"
    assert stored().folder == "//thing_splats/suzanne" and module().folder_of(stored()) == folder
    assert {path.name for path in folder.iterdir()} == OTHERS | {"splats.spz"}
    save(session, "ply")
    assert {path.name for path in folder.iterdir()} == OTHERS | {"splats.ply"}
    exact = (folder / "splats.ply").read_bytes()
    assert exact == Path(os.environ["MILO_SAMPLE_RUN"], "splats.ply").read_bytes()

    pack(session)
    job = bpy.context.scene.milo.job
    moved = tmp_path / "elsewhere" / "other.blend"
    moved.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(moved))
    stop(session)
    shutil.rmtree(tmp_path / "thing_splats")
    shutil.rmtree(tmp_path / "home")                      # whatever the backend knew
    bpy.ops.wm.open_mainfile(filepath=str(moved))
    assert bpy.context.scene.milo.job == job and module().folder_of(stored()) is None
    files = splat_files.files_of(module().held(stored()))
    assert set(files) == OTHERS | {"splats.ply"}

    assert bpy.ops.milo.restore_splats() == {"FINISHED"}
    assert session.wait(lambda now: now.storing.restored == 1, 120), session.storing.problem
    assert session.wait(lambda now: now.job_state == "finished" and now.job == job, 60)
    back = session.backend.home / "jobs" / job / "run"
    assert (back / "splats.ply").read_bytes() == exact and (back / "mesh.ply").is_file()
    assert picture() == {"FINISHED"} and "MILo splats" in bpy.data.images

    assert bpy.ops.milo.unpack_splats() == {"FINISHED"}
    assert session.wait(lambda now: not now.storing.busy, 60) and not session.storing.problem
    assert not bpy.data.texts and bpy.data.is_dirty
    assert stored().folder == "//other_splats/suzanne"
    assert (moved.parent / "other_splats" / "suzanne" / "splats.ply").read_bytes() == exact
    assert not bpy.ops.milo.unpack_splats.poll() and bpy.ops.milo.pack_splats.poll()


def test_a_blend_saved_elsewhere_finds_its_splats(session, tmp_path):
    save(session, "spz")
    folder, blend, milo = tmp_path / "thing_splats" / "suzanne", tmp_path / "thing.blend", bpy.context.scene.milo
    milo.photo_folder, milo.video = "//photos", "//walk.mp4"
    (tmp_path / "elsewhere").mkdir()

    def same():
        return module().folder_of(stored()).samefile(folder) and {
            os.path.normpath(bpy.path.abspath(path)) for path in (milo.photo_folder, milo.video)} == {
            str(tmp_path / "photos"), str(tmp_path / "walk.mp4")}
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "elsewhere" / "a copy.blend"), copy=True)
    assert bpy.data.filepath == str(blend) and stored().folder == "//thing_splats/suzanne" and same()
    with pytest.raises(RuntimeError):
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "nowhere" / "thing.blend"))
    assert stored().folder == "//thing_splats/suzanne" and same()

    for name in ("other.blend", "a copy.blend"):
        if name == "other.blend":
            bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "elsewhere" / name))
            assert stored().folder == "//../thing_splats/suzanne" and same()
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "elsewhere" / name))
        milo = bpy.context.scene.milo
        assert stored().folder == "//../thing_splats/suzanne" and same()
    save(session, "ply")                                  # of this .blend: the other's stay
    assert stored().folder == "//a copy_splats/suzanne" and (folder / "splats.spz").is_file()


def test_work_that_ends_between_two_ticks_leaves_no_bar_in_the_panel(session, milo, monkeypatch):
    from bl_ext.user_default.milo.panels.main import MILO_PT_main
    from check_photos import draw
    save(session, "spz")
    heartbeat, redraws = milo("heartbeat"), []
    heartbeat.tick()
    monkeypatch.setattr(heartbeat, "redraw", lambda: redraws.append(True))
    heartbeat.tick()
    assert not redraws
    bpy.ops.milo.pack_splats()
    draw(MILO_PT_main)                                    # as Blender does after a click
    session.storing._errand.join(10)
    heartbeat.tick()
    assert redraws and stored().packed


def test_the_panels_of_all_views_are_drawn_again(milo, monkeypatch):
    """Also if Blender has drawn one of them since."""
    heartbeat, redraws, looks = milo("heartbeat"), [], ["before"]
    monkeypatch.setattr(heartbeat, "redraw", lambda: redraws.append(looks[0]))
    monkeypatch.setattr(heartbeat, "appearance", lambda _now: (looks[0],))
    heartbeat.tick()
    looks[0] = "after"
    heartbeat.drawn()
    for _ in range(2):
        heartbeat.tick()
        heartbeat.drawn()
    assert redraws == ["before", "after"]


def test_splats_of_another_reconstruction_stay(session, tmp_path):
    """An object of the same name, as a second reconstruction has once the first one's was renamed."""
    other = bpy.data.scenes.new("other").milo_stored.add()
    other.name, other.folder = "another", "//thing_splats/suzanne"
    kept = tmp_path / "thing_splats" / "suzanne" / "splats.spz"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"of another")
    save(session, "spz")
    assert stored().folder == "//thing_splats/suzanne_2" and kept.read_bytes() == b"of another"
    save(session, "ply")
    assert stored().folder == "//thing_splats/suzanne_2"


def test_no_room_for_splats_is_told(session, tmp_path):
    (tmp_path / "thing_splats").mkdir()
    (tmp_path / "thing_splats" / "suzanne").write_text("in the way")
    bpy.ops.milo.save_splats(format="spz")
    assert session.wait(lambda now: not now.storing.busy, 60)
    assert "suzanne" in session.storing.problem.message and not session.problem and not stored()


def test_an_spz_is_enough(session, tmp_path):
    save(session, "spz")
    job = bpy.context.scene.milo.job
    bpy.ops.wm.save_mainfile()
    stop(session)
    shutil.rmtree(tmp_path / "home")
    assert bpy.ops.milo.pack_splats.poll()
    assert bpy.ops.milo.restore_splats() == {"FINISHED"}
    assert session.storing.progress == ("Waiting", 0.0)   # for the backend, which starts: nothing comes between
    assert session.job_state != "starting" and not bpy.ops.milo.pack_splats.poll()
    assert session.wait(lambda now: now.storing.restored == 1, 120), session.storing.problem
    assert (session.backend.home / "jobs" / job / "run" / "splats.ply").stat().st_size > 1000
    assert picture() == {"FINISHED"}


def test_restored_splats_are_finished_without_photos(session, tmp_path):
    """As the splats look from the photos' cameras; it is told."""
    save(session, "spz")
    bpy.ops.wm.save_mainfile()
    stop(session)
    shutil.rmtree(tmp_path / "home")
    assert bpy.ops.milo.restore_splats() == {"FINISHED"}
    assert session.wait(lambda now: now.storing.restored == 1, 120), session.storing.problem
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 60)
    assert not session.finishing.notice
    choices = bpy.context.scene.milo_finish
    choices.triangles, choices.texture = 500, "512"
    assert bpy.ops.milo.finish() == {"FINISHED"}
    assert session.wait(lambda now: not now.finishing.busy, 120) and not session.finishing.problem
    assert "from the splats" in session.finishing.notice
    asset = bpy.data.objects["suzanne LOD0"]
    pixels = np.array(asset.milo_asset.color.pixels).reshape(-1, 4)[:, :3]
    assert 100 < len(asset.data.polygons) <= 500 and pixels.std() > 0.05


def test_a_damaged_pack_is_told(session):
    save(session, "spz")
    pack(session)
    bpy.data.texts[0]["milo_splats"] = b"no zip"
    bpy.ops.milo.unpack_splats()
    assert session.wait(lambda now: not now.storing.busy, 60)
    assert "cannot be read" in session.storing.problem.message and stored().packed


def test_splats_never_give_way_to_nothing(milo, tmp_path):
    """The folder vanished while it was to be packed, the pack is empty, nothing lies beside the folder."""
    splat_files, problems = milo("splat_files"), milo("connection.problems")
    folder, empty = tmp_path / "kept", io.BytesIO()
    folder.mkdir()
    (folder / "splats.spz").write_bytes(b"mine")
    zipfile.ZipFile(empty, "w").close()
    for work in (lambda: splat_files.pack(tmp_path / "gone"), lambda: splat_files.put_in_place(folder),
                 lambda: splat_files.unpack(empty.getvalue(), folder)):
        with pytest.raises(problems.Problem):
            work()
        assert (folder / "splats.spz").read_bytes() == b"mine"


def test_a_cancelled_download_is_not_complete(milo, tmp_path):
    """Not even if it was cancelled within its last file."""
    download, messages = milo("connection.download"), milo("protocol.messages")
    begun = threading.Event()

    class Client:
        def request(self, question, timeout_s):
            begun.wait(10)
            here.cancel()
            piece = Future()
            piece.set_result(messages.FileChunk("job", "run/a", 0, 2, np.zeros(1, np.uint8)))
            return piece
    here = download.Download(Client(), "job", {"run/a": tmp_path / "a"})
    begun.set()
    here.join(10)
    assert here.done and not here.complete and not here.problem and not (tmp_path / "a").exists()
