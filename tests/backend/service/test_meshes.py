# SPDX-License-Identifier: Apache-2.0
"""Meshes on their way to Blender: pulled, the newest only, no larger than asked for."""

import time

import numpy as np
import pytest
from fake_runner import sheet

from milo.backend.finishing.decimate import merge_on_grid
from milo.backend.service.lod import decimate, write_lod
from milo.backend.service.mesh_files import Mesh
from milo.backend.service.snapshots import prepare_snapshot, publish_snapshot, read_snapshot, sequence
from milo.protocol import messages as m

FAST = {"service.snapshot_interval_s": 0.0}


def start(client, **settings) -> str:
    digest = client.put(b"photo")
    scene = m.SceneFiles((m.SceneFile("a.jpg", digest, 5),))
    fake = {f"fake.{key}": value for key, value in settings.items()}
    return client.ask(m.StartJob("mesh", scene, settings=FAST | fake)).job


def test_a_poll_is_answered_when_a_mesh_is_there(client):
    job = start(client, iterations=10_000, step_s=0.05, snapshot_every=10)
    mesh = client.ask(m.NextMesh(job, wait_s=20))
    assert (mesh.seq, mesh.kind, mesh.iteration) == (1, "live", 10)
    asked = time.monotonic()
    later = client.ask(m.NextMesh(job, after=1, wait_s=20))
    assert later.seq == 2
    assert 0.1 < time.monotonic() - asked < 5
    assert np.allclose(later.verts[:, 2].mean(), 20, atol=0.1)
    client.ask(m.CancelJob(job))
    client.wait(job, "cancelled")


def test_a_training_view_beside_its_photo(client):
    job = start(client, iterations=12, snapshot_every=5, step_s=0.1)
    assert client.ask(m.NextPreview(job)) == m.Nothing()
    client.wait(job, lambda info: info.mesh_seq == 1)
    first = client.ask(m.NextPreview(job))
    assert (first.seq, first.iteration) == (1, 5) and first.photo.shape == (6, 8, 3)
    assert (first.rendering == 5).all() and (first.photo == 200).all()
    assert client.ask(m.NextPreview(job, after=1)) == m.Nothing()
    client.wait(job, "finished")
    last = client.ask(m.NextPreview(job, after=1))       # the final mesh came without pictures
    assert (last.seq, last.iteration, last.rendering[0, 0, 0]) == (2, 10, 10)


def test_a_poll_ends_after_its_time(client):
    job = start(client, iterations=5)
    last = client.wait(job, "finished").mesh_seq
    asked = time.monotonic()
    assert client.ask(m.NextMesh(job, after=last, wait_s=0.5)) == m.Nothing()
    assert 0.4 < time.monotonic() - asked < 2
    assert client.ask(m.WatchJob(job, after=2**52, wait_s=0.2)) == m.Nothing()
    assert client.ask(m.NextMesh(job, after=last - 1)).kind == "final"


def test_a_slow_client_sees_the_newest_mesh_only(client, server):
    job = start(client, iterations=30, snapshot_every=1)
    first = client.ask(m.NextMesh(job))
    last = client.wait(job, "finished").mesh_seq
    assert last == 31
    newest = client.ask(m.NextMesh(job, after=first.seq))
    assert (newest.seq, newest.kind) == (last, "final")
    assert len(sequence(server.home / "jobs" / job / "snapshots")) <= 3, "old ones are removed"


def test_a_newer_poll_takes_the_place_of_the_older(client):
    job = start(client, iterations=5)
    client.wait(job, "finished")
    older = client.send(m.NextMesh(job, after=1000, wait_s=30))
    newer = client.send(m.NextMesh(job, after=0, wait_s=30))
    assert client.receive(older, 2) == m.Nothing()
    assert client.receive(newer, 5).kind == "final"


@pytest.mark.parametrize("budget", [200_000, 50_000, 1_234, 0])
def test_the_triangle_budget_holds(client, shared_job, budget):
    mesh = client.ask(m.NextMesh(shared_job, max_triangles=budget), 30)
    assert mesh.triangles_full == 249_218
    assert len(mesh.faces) <= (budget or 249_218)
    assert len(mesh.faces) > 0.8 * (budget or 249_218)
    wanted = mesh.verts[:, [0, 1, 0]] * 255
    assert np.abs(mesh.colors - wanted).mean() < 4, "colours are those of the place"


@pytest.fixture(scope="module")
def shared_job(server):
    client = server.client()
    job = start(client, iterations=1, snapshot_every=10, triangles=250_000)
    client.wait(job, "finished", 30)
    return job


def test_the_server_answers_while_a_level_of_detail_is_made(client, server, shared_job):
    other = server.client()
    waiting = client.send(m.NextMesh(shared_job, max_triangles=33_333))
    slowest = 0.0
    for _ in range(10):
        asked = time.monotonic()
        other.ask(m.ListJobs())
        slowest = max(slowest, time.monotonic() - asked)
        time.sleep(0.02)
    assert slowest < 1.0
    assert len(client.receive(waiting, 30).faces) <= 33_333


def test_the_preview_is_a_picture(client, server):
    from PIL import Image

    job = start(client, iterations=5)
    client.wait(job, "finished")
    with Image.open(server.home / "jobs" / job / "preview.png") as preview:
        assert preview.size == (8, 6)
        assert preview.getpixel((0, 0)) == (5, 5, 5)


def test_decimation_keeps_the_budget_where_it_cannot_collapse():
    """A thousand loose triangles have no edge to collapse: the grid merges them."""
    rng = np.random.default_rng(0)
    centres = rng.random((3000, 1, 3))
    verts = (centres + 0.01 * rng.random((3000, 3, 3))).reshape(-1, 3).astype(np.float32)
    mesh = Mesh(verts, np.arange(9000, dtype=np.int32).reshape(-1, 3), np.zeros((9000, 3), np.uint8))
    for budget in (1, 100, 2999):
        small = decimate(mesh, budget)
        assert len(small.faces) <= budget
        assert len(small.colors) == len(small.verts)
        assert len(merge_on_grid(mesh.verts, mesh.faces, budget)[1]) <= budget


def test_a_few_large_faces_far_away_do_not_blur_the_rest():
    near, far = sheet(50_000, 0.0), sheet(200, 0.0)
    verts = np.concatenate([near[0], 1000 * far[0] - 500])
    faces = np.concatenate([near[1], far[1] + len(near[0])])
    few = decimate(Mesh(verts, faces, np.zeros(verts.shape, np.uint8)), 10_000)
    assert len(few.faces) > 9000 and (np.abs(few.verts) <= 1.1).all(axis=1).sum() > 4000


def test_a_small_mesh_is_left_alone():
    mesh = Mesh(*sheet(50, 0.0))
    assert decimate(mesh, 50) is mesh


@pytest.mark.parametrize("broken", ["faces", "verts", "colors"])
def test_a_broken_mesh_is_not_written(tmp_path, broken):
    verts, faces, colors = sheet(8, 0.0)
    arrays = {"verts": verts, "faces": faces, "colors": colors}
    arrays[broken] = {"faces": faces + 1, "verts": verts * np.float32("nan"), "colors": colors[1:]}[broken]
    with pytest.raises(ValueError, match=broken):
        prepare_snapshot(tmp_path, 1, "live", 1, Mesh(**arrays), None, None)
    assert sequence(tmp_path) == []


def test_a_snapshot_comes_back_as_it_was(tmp_path):
    mesh = Mesh(*sheet(200, 1.0))
    prepared = prepare_snapshot(tmp_path, 4, "provisional", 9, mesh, None, None)
    write_lod(prepared, 100)
    assert sequence(tmp_path) == [], "nobody sees it yet"
    publish_snapshot(prepared)
    full = read_snapshot(tmp_path, 4, 0)
    assert (full.seq, full.kind, full.iteration, full.triangles) == (4, "provisional", 9, len(mesh.faces))
    assert np.array_equal(full.mesh.verts, mesh.verts)
    assert len(read_snapshot(tmp_path, 4, 100).mesh.faces) <= 100
    assert read_snapshot(tmp_path, 4, 77) is None, "not made yet"
