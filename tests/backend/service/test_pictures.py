# SPDX-License-Identifier: Apache-2.0
"""Splats drawn by a process that lives as long as somebody looks."""

import numpy as np
import pytest

from milo.protocol import ProtocolError
from milo.protocol import messages as m

EYE4 = tuple(np.eye(4).ravel())


def view(job, shade=0.5, width=6, height=4):
    return m.RenderSplats(job, EYE4, (shade, 0, 0, 0, shade, 0, 0, 0, 1), width, height, (0.0, 0.25, 1.0))


@pytest.fixture(scope="module")
def job(server):
    client = server.client()
    return client.wait(client.start(iterations=2).job, "finished").job


def test_a_picture(client, job):
    picture = client.ask(view(job))
    assert picture.image.shape == (4, 6, 4)
    assert picture.image[0, 0].tolist() == [128, 64, 255, 255]
    assert np.all(picture.depth == 10_240)


def test_of_many_views_the_newest_is_drawn(client, job):
    """A turning view asks faster than it can be drawn: what waited is skipped, the last one comes."""
    client.ask(view(job))
    asked = [client.send(view(job, i / 10)) for i in range(6)]
    replies = [client.receive(request) for request in asked]
    skipped = [isinstance(reply, m.Nothing) for reply in replies]
    assert skipped == [False, True, True, True, True, False]
    assert replies[-1].image[0, 0, 0] == 128


def test_changed_splats_are_read_again(client, server, job):
    file = server.home / "jobs" / job / "run" / "splats.ply"
    assert client.ask(view(job)).depth[0, 0] == 10_240
    file.write_bytes(bytes(77))
    assert client.ask(view(job)).depth[0, 0] == 77


def test_a_job_without_splats(client):
    job = client.start(iterations=10_000).job
    with pytest.raises(ProtocolError, match="no splats yet") as no:
        client.ask(view(job))
    assert no.value.code == "not_ready"
    client.ask(m.CancelJob(job))
    client.wait(job, "cancelled")


def test_a_painter_that_dies_is_told_and_started_again(client, server, job):
    file = server.home / "jobs" / job / "run" / "splats.ply"
    file.write_bytes(b"kill")
    with pytest.raises(ProtocolError) as no:
        client.ask(view(job))
    assert no.value.code == "worker_died"
    file.write_bytes(bytes(88))
    assert client.ask(view(job)).depth[0, 0] == 88


def test_gaussians_are_drawn_by_the_painter_of_the_product(tmp_path):
    """One opaque red Gaussian two units ahead: red in the middle of the picture, two units deep."""
    from milo.backend.data.ply import SplatColumns, write_splats
    from milo.backend.service.render_worker import Painting, paint_gaussians

    (tmp_path / "run").mkdir()
    red = (np.array([[1.0, 0.0, 0.0]], np.float32) - 0.5) / 0.28209479
    write_splats(tmp_path / "run" / "splats.ply", SplatColumns(
        means=np.array([[0, 0, 2]], np.float32), sh_dc=red.astype(np.float32), sh_rest=np.zeros((1, 0, 3), np.float32),
        opacities=np.array([8], np.float32), scales=np.full((1, 3), np.log(0.1), np.float32),
        quats=np.array([[1, 0, 0, 0]], np.float32)))
    painting = Painting(tmp_path, "cpu", paint_gaussians)
    request = m.RenderSplats("a", EYE4, (60, 0, 20, 0, 60, 15, 0, 0, 1), 40, 30)
    picture = painting.picture(request)
    assert picture.image[14, 19].tolist() == pytest.approx([252, 0, 0, 252], abs=4)
    assert picture.depth[14, 19] == pytest.approx(2, abs=0.3)
    assert picture.image[0, 0].tolist() == [0, 0, 0, 0]
    assert picture.depth[0, 0] == 0


@pytest.mark.parametrize("record", ['{"splat_near": 0.005}', '{"splat_near": 0.005, "rasterizer": "gof"}'])
def test_a_small_scene_is_not_cut_away(tmp_path, record):
    """A scene measured in decimetres stands nearer to its cameras than the rasterisers' own near plane."""
    from milo.backend.data.ply import SplatColumns, write_splats
    from milo.backend.service.render_worker import Painting, paint_gaussians

    run = tmp_path / "run"
    run.mkdir()
    write_splats(run / "splats.ply", SplatColumns(
        means=np.array([[0, 0, 0.1]], np.float32), sh_dc=np.zeros((1, 3), np.float32),
        sh_rest=np.zeros((1, 0, 3), np.float32), opacities=np.array([8], np.float32),
        scales=np.full((1, 3), np.log(0.005), np.float32), quats=np.array([[1, 0, 0, 0]], np.float32)))
    (run / "run.json").write_text(record)
    request = m.RenderSplats("a", EYE4, (60, 0, 20, 0, 60, 15, 0, 0, 1), 40, 30)
    picture = Painting(tmp_path, "cpu", paint_gaussians).picture(request)
    assert picture.image[14, 19, 3] > 200
