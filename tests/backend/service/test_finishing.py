# SPDX-License-Identifier: Apache-2.0
"""A finished reconstruction is made into an asset as a job of its own, over a real socket."""

from __future__ import annotations

import io
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from milo.backend.config import DataConfig, load_config
from milo.backend.data.ply import SplatColumns, read_mesh, write_splats
from milo.backend.data.scene import load_scene
from milo.backend.data.splat_folder import camera_records
from milo.protocol import ProtocolError
from milo.protocol import messages as m
from milo.protocol.assets import AssetMesh
from milo.protocol.stored import RestoreJob, SplatFiles

SUZANNE = Path(__file__).resolve().parents[3] / "examples" / "suzanne"
SMALL = {"finish.triangles": 2000, "finish.texture": 128, "finish.levels": 2, "finish.scale": 0.5,
         "finish.origin": "base"}


@pytest.fixture(scope="module")
def source(server):
    """A finished job of the sample scene whose mesh is the truth."""
    client = server.client()
    files = []
    for path in sorted(path for path in SUZANNE.rglob("*") if path.is_file()):
        data = path.read_bytes()
        files.append(m.SceneFile(path.relative_to(SUZANNE).as_posix(), client.put(data), len(data)))
    job = client.ask(m.StartJob("suzanne", m.SceneFiles(tuple(files)), settings={"fake.iterations": 2})).job
    client.wait(job, "finished")
    run = server.home / "jobs" / job / "run"
    rng = np.random.default_rng(0)
    write_splats(run / "splats.ply", SplatColumns(
        means=rng.uniform(-1, 1, (9, 3)).astype(np.float32), sh_dc=np.zeros((9, 3), np.float32),
        sh_rest=np.zeros((9, 0, 3), np.float32), opacities=np.zeros(9, np.float32),
        scales=np.full((9, 3), -3, np.float32), quats=rng.normal(size=(9, 4)).astype(np.float32)))
    shutil.copyfile(SUZANNE / "gt_mesh.ply", run / "mesh.ply")
    (run / "config.json").write_text(json.dumps(load_config(["preview"], ["data.max_width=100"]).to_dict()))
    return job


def start(client, job, settings):
    info = client.ask(m.StartJob("suzanne", m.SceneOfJob(job), settings=settings, task="finish"))
    assert info.task == "finish"
    return info.job


def fetch(client, job, path):
    return client.ask(m.GetFile(job, path)).data.tobytes()


def test_an_asset_comes_back(client, server, source):
    job = start(client, source, SMALL)
    stages = set()
    info = client.wait(job, lambda info: stages.add(info.stage) or info.state in ("finished", "failed"), 60)
    assert info.state == "finished" and info.psnr > 18, info
    assert {"bake", "unwrap"} & stages
    names = {file.path for file in client.ask(m.ListFiles(job)).files}
    assert {f"run/{level}{end}" for level in ("mesh", "mesh_lod1") for end in (".npz", "_color.png", "_normal.png")} \
        <= names and not any("splats" in name for name in names)

    mesh = AssetMesh.read(io.BytesIO(fetch(client, job, "run/mesh.npz")))
    truth = read_mesh(SUZANNE / "gt_mesh.ply")[0]
    assert 500 < len(mesh.faces) <= 2000 and np.ptp(mesh.rest_co, 0) == pytest.approx(np.ptp(truth, 0), rel=0.1)
    np.testing.assert_allclose(mesh.positions, 0.5 * mesh.rest_co + mesh.place[:3, 3], atol=1e-5)
    assert mesh.positions[:, 2].min() == pytest.approx(0, abs=1e-5)
    assert mesh.uvs.min() >= 0 and mesh.uvs.max() <= 1 and mesh.colors.std() > 20
    color = np.asarray(Image.open(io.BytesIO(fetch(client, job, "run/mesh_color.png"))))
    report = json.loads(fetch(client, job, "run/finish.json"))
    assert color.shape == (128, 128, 3) and [level["name"] for level in report["levels"]] == ["mesh", "mesh_lod1"]
    column, row = (mesh.uvs * [128, -128] + [0, 128]).astype(int).clip(0, 127).T
    assert np.abs(color[row, column] - mesh.colors[mesh.faces.ravel()].astype(float)).mean() < 12   # seams apart


def test_without_a_normal_map(client, source):
    job = start(client, source, {"finish.triangles": 200, "finish.texture": 32, "finish.normal_map": False})
    client.wait(job, "finished", 60)
    assert "run/mesh_normal.png" not in {file.path for file in client.ask(m.ListFiles(job)).files}


def test_cancelled_within_two_seconds(client, source):
    job = start(client, source, {})
    client.wait(job, lambda info: info.stage in ("unwrap", "bake"), 60)
    asked = time.monotonic()
    client.ask(m.CancelJob(job))
    client.wait(job, "cancelled")
    assert time.monotonic() - asked < 2.0


def test_paused_and_done_again(client, source):
    job = start(client, source, SMALL)
    client.wait(job, lambda info: info.stage == "bake", 60)
    client.ask(m.PauseJob(job))
    client.wait(job, "paused", 30)
    client.ask(m.ResumeJob(job))
    client.wait(job, "finished", 60)


def test_the_source_of_a_finishing_stays(client, server):
    """Not deleted while a finishing waits for it or reads it; a cancelled one holds nothing up."""
    job = client.wait(client.start(iterations=1).job, "finished").job
    other = client.start(iterations=10_000).job
    waiting = start(client, job, {})
    with pytest.raises(ProtocolError, match="cannot be deleted while its finishing is queued") as refusal:
        client.ask(m.DeleteJob(job))
    assert refusal.value.code == "not_ready" and (server.home / "jobs" / job / "run").is_dir()
    client.ask(m.PauseJob(waiting))
    client.ask(m.DeleteJob(other))
    client.ask(m.DeleteJob(job))
    while (server.home / "jobs" / job).exists():
        time.sleep(0.02)
    client.ask(m.ResumeJob(waiting))
    assert "has been deleted" in client.wait(waiting, "failed", 60).error


def test_the_source_of_a_running_finishing_stays(client, source):
    job = start(client, source, {})
    client.wait(job, "running", 30)
    with pytest.raises(ProtocolError, match="while its finishing is running"):
        client.ask(m.DeleteJob(source))
    client.ask(m.DeleteJob(job))
    assert client.ask(m.GetJob(source)).state == "finished"


def test_restored_splats_without_cameras_cannot_be_finished(client, server):
    """Not by an earlier release's files, which do not tell from where the photos were taken."""
    job = client.wait(client.start(iterations=1).job, "finished").job
    shutil.rmtree(server.home / "jobs" / job / "scene")
    info = client.wait(start(client, job, {}), "failed", 60)
    assert "neither its photos" in info.error and "has made it" in info.hint


def test_restored_splats_give_the_colours(client, server, source):
    """Their photos stayed with the backend that had them; the cameras came along."""
    run = server.home / "jobs" / source / "run"
    scene = load_scene(SUZANNE, DataConfig(max_width=100))
    (run / "cameras.json").write_text(json.dumps(camera_records([view.camera for view in scene.train])))
    kept = {file.path.removeprefix("run/"): fetch(client, source, file.path)
            for file in client.ask(SplatFiles(source), 60).files}
    assert {"splats.spz", "cameras.json"} <= set(kept)
    client.ask(RestoreJob("restored", "suzanne", tuple(
        m.SceneFile(name, client.put(data), len(data)) for name, data in kept.items())), 60)
    job = start(client, "restored", {"finish.triangles": 300, "finish.texture": 32})
    info = client.wait(job, lambda info: info.state in ("finished", "failed"), 60)
    assert info.state == "finished", info
    assert json.loads(fetch(client, job, "run/finish.json"))["source"] == "splats"


def test_refusals(client, source):
    info = client.wait(start(client, source, {"finish.colour": "red"}), "failed")
    assert "finish.triangles" in info.error
    running = client.start(iterations=10_000).job
    with pytest.raises(ProtocolError, match="not finished"):
        start(client, running, {})
    client.ask(m.DeleteJob(running))
    with pytest.raises(ProtocolError) as refusal:
        start(client, "gone", {})
    assert refusal.value.code == "unknown_job"
