# SPDX-License-Identifier: Apache-2.0
"""Splats go to whoever keeps them, and come back to a backend that has lost them, under the job's own id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from milo.backend.config import load_config
from milo.backend.data.ply import SplatColumns, read_splats, write_mesh, write_splats
from milo.backend.data.spz import read_spz
from milo.backend.gaussians.files import drawn_columns
from milo.protocol import ProtocolError
from milo.protocol import messages as m
from milo.protocol.stored import RestoreJob, SplatFiles

STANDARD = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *(f"f_rest_{i}" for i in range(9)),
            "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a run with 40 Gaussians."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(1)
    write_splats(folder / "splats.ply", SplatColumns(
        means=rng.uniform(-1, 1, (40, 3)).astype(np.float32), sh_dc=rng.normal(size=(40, 3)).astype(np.float32),
        sh_rest=rng.uniform(-0.4, 0.4, (40, 3, 3)).astype(np.float32), opacities=rng.normal(size=40).astype(np.float32),
        scales=rng.uniform(-4, -2, (40, 3)).astype(np.float32), quats=rng.normal(size=(40, 4)).astype(np.float32),
        filter_3d=np.full(40, 0.05, np.float32)))
    corners = rng.random((3, 3)).astype(np.float32)
    write_mesh(folder / "mesh.ply", corners, np.int32([[0, 1, 2]]), np.zeros((3, 3), np.uint8))
    (folder / "config.json").write_text(json.dumps(load_config(["preview"]).to_dict()))
    (folder / "run.json").write_text(json.dumps({"format": 1, "splat_near": 0.05}))
    return folder


def fetched(client, job, kind):
    files = {}
    for file in client.ask(SplatFiles(job, kind), 60).files:
        data = client.ask(m.GetFile(job, file.path)).data.tobytes()
        assert len(data) == file.size
        files[file.path.removeprefix("run/")] = data
    return files


def give_back(client, job, files):
    return client.ask(RestoreJob(job, "back", tuple(
        m.SceneFile(name, client.put(data), len(data)) for name, data in files.items())), 60)


def soon_given_back(client, job, files):
    """Once the backend has removed the files of the deleted job."""
    end = time.monotonic() + 10
    while True:
        try:
            return give_back(client, job, files)
        except ProtocolError as error:
            assert "busy" in error.message and time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.parametrize("kind", ["spz", "ply"])
def test_away_and_back(client, server, run, tmp_path, kind):
    job = client.start(iterations=1, run=str(run)).job
    client.wait(job, "finished")
    files = fetched(client, job, kind)
    assert set(files) == {f"splats.{kind}", "mesh.ply", "config.json", "run.json"}
    (tmp_path / f"splats.{kind}").write_bytes(files[f"splats.{kind}"])
    drawn = drawn_columns(run / "splats.ply")
    if kind == "ply":
        head = files["splats.ply"].split(b"end_header\n")[0].decode().splitlines()
        names = [line.split()[2] for line in head if line.startswith("property")]
        assert names[: len(STANDARD)] == STANDARD and names[len(STANDARD):] == ["filter_3D"]
    else:
        small = read_spz(tmp_path / "splats.spz")
        assert np.abs(small.means - drawn.means).max() <= 2 ** -13 + 1e-6
        assert np.abs(small.scales - drawn.scales).max() <= 1 / 32 + 1e-5
        assert np.abs(1 / (1 + np.exp(-small.opacities)) - 1 / (1 + np.exp(-drawn.opacities))).max() <= 0.5 / 255 + 1e-6
        assert np.abs(small.sh_dc - drawn.sh_dc).max() <= 0.5 / 255 / 0.15 + 1e-5
        assert np.abs(small.sh_rest - drawn.sh_rest).max() <= 1 / 32 + 1e-5
        unit = drawn.quats / np.linalg.norm(drawn.quats, axis=1, keepdims=True)
        assert (np.abs((small.quats * unit).sum(1)) > 1 - 1e-4).all()

    assert give_back(client, job, files).state == "finished" and client.ask(m.GetJob(job)).name == "job"   # it is there
    client.ask(m.DeleteJob(job))
    info = soon_given_back(client, job, files)
    assert (info.job, info.state, info.name) == (job, "finished", "back")
    back = read_splats(server.home / "jobs" / job / "run" / "splats.ply")
    if kind == "ply":
        assert np.array_equal(back.scales, read_splats(run / "splats.ply").scales)
    else:
        assert np.abs(back.scales - drawn.scales).max() <= 1 / 32 + 1e-5
    picture = client.ask(m.RenderSplats(job, tuple(np.eye(4).ravel()), tuple(np.eye(3).ravel()), 4, 4), 30)
    assert isinstance(picture, m.Picture)
    assert set(fetched(client, job, kind)) == set(files)


def test_refusals(client, server, run):
    running = client.start(iterations=10_000).job
    with pytest.raises(ProtocolError, match="not finished"):
        client.ask(SplatFiles(running))
    client.ask(m.DeleteJob(running))
    with pytest.raises(ProtocolError) as refusal:
        client.ask(SplatFiles("gone"))
    assert refusal.value.code == "unknown_job"
    with pytest.raises(ProtocolError, match="have not been sent"):
        client.ask(RestoreJob("other-job", "x", (m.SceneFile("splats.ply", "0" * 64, 5),)))
    with pytest.raises(ProtocolError, match="cannot be turned"):
        give_back(client, "broken-job", {"splats.spz": b"no splats"})
    assert not (server.home / "jobs" / "broken-job").exists()
    for files in ({"mesh.ply": b"x"}, {"splats.ply": b"x", "splats.spz": b"y"}, {"splats.ply": b"x", "../a": b"y"}):
        with pytest.raises(ProtocolError):
            give_back(client, "wrong-job", files)


def test_a_conversion_does_not_hold_the_end_up(launch, run):
    server = launch()
    client = server.client()
    job = client.start(iterations=1, run=str(run)).job
    client.wait(job, "finished")
    question = client.send(SplatFiles(job, "spz"))
    converter = wait_for_process("stored_splats", str(server.home))
    os.kill(converter, signal.SIGSTOP)      # it takes for ever
    asked = time.monotonic()
    server.process.terminate()
    assert server.process.wait(10) == 0 and time.monotonic() - asked < 2.0
    with pytest.raises(ProtocolError, match="about to end"):
        client.receive(question)
    with pytest.raises(ProcessLookupError):
        os.kill(converter, 0)


def wait_for_process(*words):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True).stdout
        for line in listed.splitlines():
            if all(word in line for word in words):
                return int(line.split()[0])
    raise TimeoutError(f"no process {words}")
