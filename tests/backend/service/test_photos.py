# SPDX-License-Identifier: Apache-2.0
"""Photos are reported on and aligned as jobs, over a real socket."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from milo.backend.data.scene import load_scene
from milo.protocol import messages as m
from milo.protocol import photos as p

SUZANNE = Path(__file__).resolve().parents[3] / "examples" / "suzanne"
OPTIONS = {"align.features": 1000, "align.threads": 2}


def start(client, task: str, chosen: slice, settings=None, kinds=("images", "masks")) -> str:
    files = []
    for kind in kinds:
        for path in sorted((SUZANNE / kind).glob("train_*"))[chosen]:
            data = path.read_bytes()
            files.append(m.SceneFile(f"{kind}/{path.name}", client.put(data), len(data)))
    job = client.ask(m.StartJob("photos", m.SceneFiles(tuple(files)), settings=settings or {}, task=task))
    assert job.task == task
    return job.job


def fetch(client, job: str, path: str) -> bytes:
    data, size = b"", 1
    while len(data) < size:
        chunk = client.ask(m.GetFile(job, path, len(data)))
        data, size = data + chunk.data.tobytes(), chunk.size
    return data


@pytest.fixture(scope="module")
def aligned(server):
    client = server.client()
    job = start(client, "align", slice(10), OPTIONS)
    stages, info = [], client.ask(m.GetJob(job))
    early = None
    while info.state in ("queued", "running"):
        came = client.ask(m.WatchJob(job, info.revision, 1.0))
        info = info if isinstance(came, m.Nothing) else came
        stages.append((info.stage, info.iteration, info.iterations))
        if info.stage == "features" and early is None:
            early = client.ask(p.GetPhotoReport(job)), client.ask(p.GetAlignment(job))
    assert info.state == "finished", info
    return client, job, stages, early


def test_progress_is_told_by_stage(aligned):
    _, _, stages, _ = aligned
    assert {"photos", "features", "matching"} <= {stage for stage, *_ in stages}
    assert all(0 <= done <= total for _, done, total in stages)


def test_the_report_comes_before_the_cameras(aligned):
    client, job, _, early = aligned
    assert isinstance(early[0], p.PhotoReport) and isinstance(early[1], m.Nothing)
    assert all(photo.registered is None for photo in early[0].photos) and not early[0].coverage
    report = client.ask(p.GetPhotoReport(job))
    assert all(photo.registered is not None for photo in report.photos) and report.coverage


def test_cameras_points_and_pictures_come_back(aligned, server):
    client, job, *_ = aligned
    found = client.ask(p.GetAlignment(job))
    assert found.photos == 10 and found.models[0] == len(found.cameras) >= 8
    assert len(found.points) == len(found.colors) > 100
    scene = load_scene(server.home / "jobs" / job / "run")
    by_name = {view.camera.name: view.camera for view in (*scene.train, *scene.test)}
    for camera in found.cameras:
        assert np.allclose(np.reshape(camera.viewmat, (4, 4)), by_name[camera.name].viewmat, atol=1e-5)
        assert np.allclose(np.reshape(camera.K, (3, 3)), by_name[camera.name].K, rtol=1e-5)
        assert fetch(client, job, camera.image)[:2] == b"\xff\xd8"
        assert fetch(client, job, camera.mask)[:4] == b"\x89PNG"
    assert not any(".align" in file.path for file in client.ask(m.ListFiles(job)).files)


def test_solved_cameras_go_back_with_masks_and_coloured_points(aligned, server, tmp_path):
    """What Blender sends of an aligned scene becomes a scene with masks and colours again."""
    client, job, *_ = aligned
    found = client.ask(p.GetAlignment(job))
    hashes = {path: hashlib.sha256(fetch(client, job, path)).hexdigest()
              for camera in found.cameras for path in (camera.image, camera.mask)}
    assert not client.ask(m.HaveBlobs(tuple(hashes.values()))).missing      # they came from there: nothing to send
    cameras = tuple(m.SceneCamera(camera.name, hashes[camera.image], camera.width, camera.height, camera.K,
                                  camera.viewmat, hashes[camera.mask]) for camera in found.cameras)
    again = client.ask(m.StartJob("again", m.SceneCameras(cameras), points=found.points, colors=found.colors,
                                  settings={"fake.iterations": 1}))
    client.wait(again.job, "finished")
    scene = load_scene(server.home / "jobs" / again.job / "scene")
    assert all(view.mask is not None for view in scene.train)
    assert np.array_equal(scene.colors, found.colors) and np.allclose(scene.points, found.points)

    blobs = [path for path in (server.home / "blobs").glob("*/*") if path.is_file()]
    for path in blobs:
        os.utime(path, (0, 0))                                              # nobody has asked for long
    client.ask(m.DeleteJob(again.job))
    deadline = time.monotonic() + 10
    while (server.home / "jobs" / again.job).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not client.ask(m.HaveBlobs(tuple(hashes.values()))).missing      # the alignment is still there


def test_a_report_alone(client, server):
    job = start(client, "photos", slice(8), kinds=("images",))
    client.wait(job, "finished")
    report = client.ask(p.GetPhotoReport(job))
    assert len(report.photos) == 8 and report.verdict == "usable" and "only 8 photos" in " ".join(report.advice)
    assert isinstance(client.ask(p.GetAlignment(job)), m.Nothing)
    on_disk = json.loads((server.home / "jobs" / job / "run" / "photos.json").read_text())
    assert [photo["name"] for photo in on_disk["photos"]] == [photo.name for photo in report.photos]


def test_cancelled_within_two_seconds_in_the_middle_of_colmap(client):
    job = start(client, "align", slice(None), {"align.features": 8000})
    client.wait(job, lambda info: info.stage == "features" and info.iteration > 0, timeout_s=60)
    asked = time.monotonic()
    client.ask(m.CancelJob(job))
    client.wait(job, "cancelled")
    assert time.monotonic() - asked < 2.0


def test_paused_and_resumed(client):
    job = start(client, "align", slice(10), OPTIONS)
    client.wait(job, lambda info: info.stage in ("matching", "mapping"), timeout_s=60)
    client.ask(m.PauseJob(job))
    client.wait(job, "paused")
    client.ask(m.ResumeJob(job))
    assert client.wait(job, lambda info: info.state in ("finished", "failed"), timeout_s=90).state == "finished"


def test_photos_that_cannot_be_aligned_are_a_failed_job_with_a_report(client):
    job = start(client, "align", slice(2), OPTIONS)
    info = client.wait(job, "failed", timeout_s=60)
    assert "needs at least 3" in info.error and "10 to 15 degrees" in info.error + info.hint
    assert client.ask(p.GetPhotoReport(job)).verdict == "poor"


def test_a_wrong_setting_is_said(client):
    job = start(client, "align", slice(2), {"align.speed": 3})
    assert "align.features" in (info := client.wait(job, "failed")).error + info.hint
