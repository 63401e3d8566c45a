# SPDX-License-Identifier: Apache-2.0
"""The sample scene without its cameras, aligned and compared with the exact ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from milo.backend.alignment.align import align
from milo.backend.alignment.events import Aligned, AlignProgress
from milo.backend.alignment.options import AlignError, AlignOptions
from milo.backend.alignment.scale import scale_scene
from milo.backend.alignment.work_folder import WorkFolder
from milo.backend.data.colmap import read_colmap
from milo.backend.data.errors import SceneError
from milo.backend.data.scene import load_scene

OPTIONS = AlignOptions(features=1500, threads=2)


def photos_of(suzanne: Path, folder: Path, every: int = 2) -> Path:
    """Some photos around the sample object, with their masks."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        for path in sorted((suzanne / kind).glob("train_*"))[::every]:
            shutil.copy(path, folder / kind)
    return folder


def finish(events) -> tuple[list[AlignProgress], Aligned]:
    *steps, end = events
    return steps, end


def centers(posed) -> np.ndarray:
    return np.array([-image.viewmat[:3, :3].T @ image.viewmat[:3, 3] for image in posed.images])


def errors_after_alignment(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Distances of points after the best similarity."""
    a, b = found - found.mean(0), true - true.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1, 1, np.linalg.det(u @ vt)])
    scale = (s * np.diag(flip)).sum() / (a**2).sum()
    return np.linalg.norm(scale * a @ (u @ flip @ vt).T - b, axis=1)


@pytest.fixture(scope="module")
def aligned(tmp_path_factory):
    suzanne = Path(__file__).resolve().parents[3] / "examples" / "suzanne"
    folder = tmp_path_factory.mktemp("a scene with spaces")
    photos = photos_of(suzanne, folder / "photos")
    steps, end = finish(align(photos, folder / "scene", OPTIONS))
    return suzanne, photos, folder / "scene", steps, end


def test_the_cameras_are_where_they_were(aligned):
    suzanne, photos, scene, *_ = aligned
    found, true = read_colmap(scene), {image.name: image for image in read_colmap(suzanne).images}
    count = len(list((photos / "images").iterdir()))
    assert len(found.images) >= 0.95 * count
    reference = np.array([-true[i.name].viewmat[:3, :3].T @ true[i.name].viewmat[:3, 3] for i in found.images])
    radius = np.linalg.norm(reference - reference.mean(0), axis=1).mean()
    assert np.median(errors_after_alignment(centers(found), reference)) < 0.01 * radius


def test_z_is_up_and_the_ground_is_at_zero(aligned):
    suzanne, _, scene, *_ = aligned
    true = {image.name: image.viewmat for image in read_colmap(suzanne).images}
    for image in read_colmap(scene).images:           # the sample scene has Z up
        assert image.viewmat[:3, 2] @ true[image.name][:3, 2] > np.cos(np.radians(1.0))
    heights = read_colmap(scene).points[:, 2]
    assert abs(np.percentile(heights, 5)) < 0.1 and (heights > -0.1).mean() > 0.95


def test_the_scene_can_be_reconstructed_from(aligned):
    *_, scene, _, end = aligned
    loaded = load_scene(scene)
    assert len(loaded.train) + len(loaded.test) == len(end.report.photos)
    assert all(view.mask is not None and 0.05 < (view.mask > 0).float().mean() < 0.9 for view in loaded.train)
    about = json.loads((scene / "alignment.json").read_text())
    assert about["format"] == 1 and about["registered"] == about["photos"] and not about["metres"]
    assert not (scene / ".align").exists()


def test_progress_names_every_stage_and_ends_complete(aligned):
    *_, steps, end = aligned
    stages = list(dict.fromkeys(step.stage for step in steps))
    assert stages == ["photos", "features", "matching", "mapping", "undistortion"]
    for stage in stages:
        done = [step.done for step in steps if step.stage == stage]
        assert all(0 <= step.done <= step.total for step in steps)
        assert stage == "mapping" or done == sorted(done)
    assert set(end.seconds) >= set(stages)


def test_the_report_knows_what_was_registered(aligned):
    scene = aligned[2]
    report = json.loads((scene / "photos.json").read_text())
    assert report["format"] == 1 and report["models"] == [len(report["photos"])]
    assert all(photo["registered"] for photo in report["photos"])
    assert report["coverage"]["azimuth_span"] == 360 and report["coverage"]["overlap"] > 0.2
    assert "cameras of" in (scene / "photos.txt").read_text()


def test_a_known_distance_makes_metres(aligned, tmp_path):
    scene = tmp_path / "scene"
    shutil.copytree(aligned[2], scene)
    before = read_colmap(scene)
    a, b = before.points[0], before.points[-1]
    factor = scale_scene(scene, a, b, 0.25)
    after = read_colmap(scene)
    assert np.linalg.norm(after.points[0] - after.points[-1]) == pytest.approx(0.25)
    assert np.allclose(after.points, factor * before.points)
    assert np.allclose(centers(after), factor * centers(before))
    assert [i.name for i in after.images] == [i.name for i in before.images]
    assert json.loads((scene / "alignment.json").read_text())["metres"]
    for start, end, distance in ((a, a, 1.0), (a, b, 0.0), (a, b, float("nan"))):
        with pytest.raises(SceneError):
            scale_scene(scene, start, end, distance)


def test_stopped_within_two_seconds_and_goes_on_where_it_was(suzanne, tmp_path):
    photos = photos_of(suzanne, tmp_path / "photos", every=8)
    stop_at = 0.0

    def should_stop():
        return bool(stop_at) and time.monotonic() > stop_at

    features, events = 0, align(photos, tmp_path / "scene", OPTIONS, should_stop=should_stop)
    for event in events:
        if isinstance(event, AlignProgress) and event.stage == "features" and event.done:
            features = event.done
            stop_at = stop_at or time.monotonic() + 0.01
    assert event.stopped and time.monotonic() - stop_at < 2.0
    assert not (tmp_path / "scene" / "sparse").exists()
    folder = WorkFolder(tmp_path / "scene" / ".align")
    assert features and folder.database.stat().st_size > 0
    written = folder.database.stat().st_ino
    list(zip(align(photos, tmp_path / "scene", OPTIONS), range(len(list((photos / "images").iterdir())) + 2)))
    assert folder.database.stat().st_ino == written       # features are not looked for again


def test_photos_that_do_not_belong_together_are_refused_with_a_report(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (200, 200, 3), np.uint8)).save(tmp_path / "photos" / f"{i}.jpg")
    with pytest.raises(AlignError, match="could not be connected"):
        list(align(tmp_path / "photos", tmp_path / "scene", OPTIONS))
    report = json.loads((tmp_path / "scene" / "photos.json").read_text())
    assert report["verdict"] == "poor" and not any(photo["registered"] for photo in report["photos"])


def test_what_cannot_be_aligned_is_said_at_once(suzanne, tmp_path):
    for source, output, words in ((tmp_path / "none", tmp_path / "o", "no such folder"),
                                  (suzanne, suzanne, "a scene already"),
                                  (tmp_path, tmp_path, "folder of the photos")):
        with pytest.raises(SceneError, match=words):
            list(align(source, output, OPTIONS))


def test_a_crash_of_colmap_is_a_sentence(suzanne, tmp_path):
    photos = photos_of(suzanne, tmp_path / "photos", every=10)
    broken = tmp_path / "scene" / ".align"
    list(zip(align(photos, tmp_path / "scene", OPTIONS), range(5)))
    (broken / "database.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(AlignError, match="COLMAP ended without a result"):
        list(align(photos, tmp_path / "scene", OPTIONS))


def test_ctrl_c_on_the_command_line(suzanne, tmp_path):
    photos = photos_of(suzanne, tmp_path / "photos", every=2)
    process = subprocess.Popen([sys.executable, "-m", "milo.backend.cli", "align", photos, "-o", tmp_path / "scene"],
                               stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("features"):
            break
    start = time.monotonic()
    process.send_signal(2)
    rest = process.stdout.read()
    assert process.wait(10) == 130 and time.monotonic() - start < 3.0
    assert "The same command goes on" in rest
    assert not _solvers_of(tmp_path / "scene")


def _solvers_of(scene: Path) -> list[str]:
    """Solver processes that work on a scene, on Linux."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline") if os.path.isdir("/proc") else ():
        try:
            if str(scene).encode() in entry.read_bytes() and b"solver" in entry.read_bytes():
                found.append(entry.parent.name)
        except OSError:
            continue
    return found


def test_a_video_is_as_good_as_photos(suzanne, tmp_path):
    import cv2
    writer = cv2.VideoWriter(str(tmp_path / "walk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (400, 400))
    names = sorted(path.name for path in (suzanne / "images").glob("train_*"))[:10]
    for name in names:
        picture = cv2.imread(str(suzanne / "images" / name))
        for blur in (9, 1, 15):         # of each three frames the middle one is sharp
            writer.write(cv2.blur(picture, (blur, blur)))
    writer.release()
    steps, end = finish(align(tmp_path / "walk.avi", tmp_path / "scene",
                              AlignOptions(features=1500, threads=2, frames=10)))
    assert steps[0].stage == "frames" and steps[0].total == 30
    found = read_colmap(tmp_path / "scene")
    assert len(found.images) >= 9 and end.report.photos[0].name == "frame_00001.jpg"
    true = {image.name: image for image in read_colmap(suzanne).images}
    pairs = [(image, true[names[int(Path(image.name).stem[-5:]) - 1]]) for image in found.images]
    centers_ = [[-i.viewmat[:3, :3].T @ i.viewmat[:3, 3] for i in pair] for pair in pairs]
    a, b = (np.array(side) for side in zip(*centers_))
    assert np.median(errors_after_alignment(a, b)) < 0.02 * np.linalg.norm(b.mean(0))
