# SPDX-License-Identifier: Apache-2.0
"""From photos without cameras to a reconstruction: the real service and the real COLMAP; only the training is a
stand-in."""

import json
import os
import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest

SUZANNE = Path(os.environ["MILO_EXAMPLES"]) / "suzanne"
pytestmark = pytest.mark.skipif(not os.environ["MILO_CAN_ALIGN"], reason="the backend has no pycolmap")


@pytest.fixture
def session(session):
    from bl_ext.user_default.milo import preferences
    preferences.get().backend_program = os.environ["MILO_SERVICE_PROGRAM"]
    yield session
    if session.backend.pid:
        session.stop_backend()
        assert session.wait(lambda now: now.backend.state == "stopped", 20)


@pytest.fixture
def photos(tmp_path):
    """Ten neighbouring photos with masks, no cameras."""
    for kind in ("images", "masks"):
        (tmp_path / "walk" / kind).mkdir(parents=True)
        for path in sorted((SUZANNE / kind).glob("train_*"))[:10]:
            shutil.copy(path, tmp_path / "walk" / kind)
    choices = bpy.context.scene.milo
    choices.source, choices.photo_folder = "PHOTOS", str(tmp_path / "walk")
    return choices


def at_rest(session, timeout_s=120):
    assert session.wait(lambda now: not now.photos.busy and not now.poll(), timeout_s), session.photos.progress


def test_photos_are_checked_before_anything_else(session, photos):
    assert "Align the photos first" in blocked(bpy.ops.milo.reconstruct)
    assert bpy.ops.milo.check_photos() == {"FINISHED"}
    assert "wait" in blocked(bpy.ops.milo.align)
    at_rest(session)
    report, listed = session.photos.report, bpy.context.window_manager.milo_photos
    assert report.verdict == "usable" and "only 10 photos" in " ".join(report.advice)
    assert len(listed) == 10 and all(item.state == "UNKNOWN" and item.problems for item in listed)   # they are small
    assert bpy.context.scene.milo.solved is None


def blocked(operator) -> str:
    with pytest.raises(RuntimeError) as error:
        operator()
    return str(error.value)


def test_from_photos_to_cameras_to_a_mesh(session, photos):
    bpy.ops.milo.align()
    stages = set()
    assert session.wait(lambda now: stages.add(now.photos.progress and now.photos.progress[0])
                        or (not now.photos.busy and not now.poll()), 120), session.trouble
    assert {"features", "matching"} <= stages
    assert session.trouble is None, session.trouble
    scene = bpy.context.scene
    bpy.context.view_layer.update()
    found = [obj for obj in scene.milo.solved.objects if obj.type == "CAMERA"]
    assert len(found) >= 8 and scene.camera in found
    assert {item.state for item in bpy.context.window_manager.milo_photos} <= {"FOUND", "LOST"}

    # the objects say what was solved
    from bl_ext.user_default.milo.scene import cameras, solved
    solution = session.photos._alignment
    sent = {camera.name: camera for camera in solution.cameras}
    made = cameras.photo_cameras(scene, scene.milo.solved)
    for obj, camera in zip(cameras.cameras_with_photo(scene, scene.milo.solved), made):
        true = sent[obj.milo.photo]
        assert np.allclose(camera.viewmat.ravel(), true.viewmat, atol=1e-4)
        assert np.allclose(camera.K.ravel(), true.K, rtol=1e-5)
        assert camera.mask.is_file() and (camera.width, camera.height) == (true.width, true.height)
        lens = cameras.intrinsics(obj.data, *cameras.frame_size(scene)[:2])   # what the viewport shows agrees
        assert np.allclose(lens, np.reshape(true.K, (3, 3)), rtol=1e-3, atol=0.5)
    points, colors = solved.sparse_points(scene)
    assert np.allclose(points, solution.points, atol=1e-5) and np.array_equal(colors, solution.colors)
    assert scene.milo.aligned_photos == 10 and scene.milo.aligned_parts.split(" + ")[0] == str(len(found))

    # a known distance: two objects two units apart are half a metre in reality
    for i in range(2):
        marker = bpy.data.objects.new(f"mark {i}", None)
        marker.location = (2.0 * i, 0, 0)
        scene.collection.objects.link(marker)
        marker.select_set(True)
    bpy.context.view_layer.update()
    before = np.array(found[0].matrix_world.translation)
    assert bpy.ops.milo.set_scale(distance=0.5) == {"FINISHED"}
    bpy.context.view_layer.update()
    assert np.allclose(np.array(found[0].matrix_world.translation), 0.25 * before, atol=1e-6)
    scaled, _ = solved.sparse_points(scene)
    assert np.allclose(scaled, 0.25 * points, atol=1e-6)

    # a region around the subject, and off it goes
    assert bpy.ops.milo.add_region() == {"FINISHED"}
    bpy.context.view_layer.update()
    scene.milo.keep_background = False
    scene.milo.overrides = "fake.iterations=3"
    scene.render.resolution_x = 2000                      # solved cameras keep what was solved
    there = {path.name for path in (session.backend.home / "blobs").glob("*/*")}
    bpy.ops.milo.reconstruct()
    assert session.wait(lambda now: now.job_state == "finished" and not now.poll(), 60), session.trouble
    request = json.loads((session.backend.home / "jobs" / session.job / "request.json").read_text())
    assert request["task"] == "reconstruct" and len(request["scene"]["cameras"]) == len(found)
    assert all(camera["mask"] for camera in request["scene"]["cameras"])
    assert np.allclose([camera["K"][0] for camera in request["scene"]["cameras"]], solution.cameras[0].K[0], rtol=1e-5)
    assert request["settings"]["region.keep_background"] is False
    assert {path.name for path in (session.backend.home / "blobs").glob("*/*")} == there     # it had all of them
    box = np.reshape(request["settings"]["region.box"], (4, 4))
    local = (scaled - box[:3, 3]) @ np.linalg.inv(box[:3, :3]).T
    assert 0.8 < (np.abs(local) <= 1).all(1).mean() < 1.0
    stored = session.backend.home / "jobs" / session.job
    assert np.allclose(np.load(stored / "points.npy"), scaled) and np.load(stored / "colors.npy").dtype == np.uint8

    # a second alignment replaces the first, and nothing of the user's
    marker.parent = None
    scene.milo.solved.objects.link(marker)
    solved.remove(scene)
    assert not [obj for obj in bpy.data.objects if obj.type == "CAMERA"] and marker.name in scene.objects


def test_an_alignment_can_be_cancelled(session, photos):
    bpy.ops.milo.align()
    assert session.wait(lambda now: now.photos.info is not None, 60)
    assert bpy.ops.milo.cancel_photos() == {"FINISHED"}
    at_rest(session, 10)
    assert session.photos.info.state == "cancelled" and bpy.context.scene.milo.solved is None
    assert "No photos are" in blocked(bpy.ops.milo.cancel_photos)


def test_an_alignment_goes_on_when_the_blend_is_opened_again(session, photos, tmp_path):
    bpy.ops.milo.align()
    assert session.wait(lambda now: now.photos.info and now.photos.info.stage == "features", 60), session.trouble
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "walk.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)          # something else meanwhile: nothing may arrive there
    assert not session.photos.busy and session.photos.report is None
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "walk.blend"))
    assert session.wait(lambda now: bpy.context.scene.milo.solved is not None, 120), session.trouble
    assert session.photos.report is not None and not bpy.context.scene.milo.photo_job
    assert len([obj for obj in bpy.data.objects if obj.type == "CAMERA"]) >= 8


def test_a_backend_without_colmap_says_so(milo, tmp_path):
    from types import SimpleNamespace
    backend = milo("session").current().backend
    choices = bpy.context.scene.milo
    choices.source, choices.photo_folder = "PHOTOS", str(tmp_path)
    assert bpy.ops.milo.align.poll()                                # nothing is known yet
    backend.client = SimpleNamespace(welcome=SimpleNamespace(capabilities=("reconstruct",)), close=lambda: None)
    assert not bpy.ops.milo.align.poll() and bpy.ops.milo.check_photos.poll()
    backend.client = None


def test_photos_that_cannot_be_aligned_say_why(session, photos, tmp_path):
    for path in sorted((tmp_path / "walk" / "images").iterdir())[2:]:
        path.unlink()
    bpy.ops.milo.align()
    at_rest(session)
    assert "needs at least 3" in session.trouble.message
    assert session.photos.report.verdict == "poor"


def test_the_panel_draws_all_of_it(session, photos):
    """Every panel's draw runs over a recording layout, in each state."""
    from bl_ext.user_default.milo.panels import main
    from bl_ext.user_default.milo.panels import photos as panel
    bpy.ops.milo.check_photos()
    at_rest(session)
    for cls in (main.MILO_PT_main, panel.MILO_PT_report, panel.MILO_PT_region):
        said = draw(cls)
        assert said
    assert "milo.align" in draw(main.MILO_PT_main) and session.photos.report.summary.split(":")[0] in " ".join(
        draw(panel.MILO_PT_report))


UI = bpy.types.UILayout.bl_rna


class Layout:
    """Stands in for UILayout: takes everything, remembers texts and operators."""

    def __init__(self, said):
        self.said = said

    def __getattr__(self, name):
        if name in ("row", "column", "split", "box"):
            return lambda *args, **kwargs: Layout(self.said)

        def take(*args, **kwargs):
            assert name in UI.functions, f"a layout has no {name}"
            if "icon" in kwargs:
                assert kwargs["icon"] in UI.functions["label"].parameters["icon"].enum_items, kwargs["icon"]
            self.said += [text for text in (*args, *kwargs.values()) if isinstance(text, str)]
            return Layout(self.said)
        return take


def draw(cls) -> list[str]:
    from types import SimpleNamespace
    said: list[str] = []
    context = SimpleNamespace(scene=bpy.context.scene, window_manager=bpy.context.window_manager,
                              preferences=SimpleNamespace(system=SimpleNamespace(ui_scale=1.0)),   # 0 in background
                              region=SimpleNamespace(width=300))
    cls.draw(SimpleNamespace(layout=Layout(said)), context)
    return said
