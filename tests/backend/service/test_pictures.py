# SPDX-License-Identifier: Apache-2.0
"""Splats drawn by a process that lives as long as somebody looks."""

import os

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


def test_another_view_is_not_overtaken(client, job):
    """A final picture comes although a viewport of the same client asks on and on."""
    from dataclasses import replace

    client.ask(view(job))
    final = client.send(replace(view(job, 0.3), view="final"))
    asked = [client.send(view(job, i / 10)) for i in range(3)]
    assert client.receive(final).image[0, 0, 0] == 77
    replies = [client.receive(request) for request in asked]
    assert [isinstance(reply, m.Nothing) for reply in replies] == [True, True, False]


def test_several_reconstructions_in_one_picture(client, job):
    from dataclasses import replace

    other = client.wait(client.start("other", iterations=2).job, "finished").job
    surface, rest = a_panel()
    client.put(surface.pack())
    request = replace(view(job), others=(other,), surface=surface.hash, pose=rest.hash, positions=rest.positions,
                      matrices=rest.matrices, depth="expected", exact=True)
    picture = client.ask(request)
    assert np.all(picture.depth == 2 * 10_240 / 2)
    assert picture.exact[0, 0].tolist() == pytest.approx([0.5, 4 / 255, 2 / 255, 1])
    with pytest.raises(ProtocolError) as no:
        client.ask(replace(request, others=("nobody",)))
    assert no.value.code == "unknown_job"


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
    from dataclasses import replace

    from milo.backend.data.ply import SplatColumns, write_splats
    from milo.backend.service.render_worker import Painting, paint_gaussians

    (tmp_path / "run").mkdir()
    red = (np.array([[1.0, 0.0, 0.0]], np.float32) - 0.5) / 0.28209479
    write_splats(tmp_path / "run" / "splats.ply", SplatColumns(
        means=np.array([[0, 0, 2]], np.float32), sh_dc=red.astype(np.float32), sh_rest=np.zeros((1, 0, 3), np.float32),
        opacities=np.array([8], np.float32), scales=np.full((1, 3), np.log(0.1), np.float32),
        quats=np.array([[1, 0, 0, 0]], np.float32)))
    painting = Painting([tmp_path], "cpu", paint_gaussians, tmp_path / "blobs")
    request = m.RenderSplats("a", EYE4, (60, 0, 20, 0, 60, 15, 0, 0, 1), 40, 30)
    picture = painting.picture(request)
    assert picture.image[14, 19].tolist() == pytest.approx([252, 0, 0, 252], abs=4)
    assert picture.depth[14, 19] == pytest.approx(2, abs=0.3)
    assert picture.image[0, 0].tolist() == [0, 0, 0, 0]
    assert picture.depth[0, 0] == 0
    thin = (picture.image[..., 3] > 0) & (picture.image[..., 3] < 127)
    assert thin.any() and picture.depth[thin] == pytest.approx(2, abs=0.3) and picture.exact is None
    other = painting.picture(replace(request, depth="expected", exact=True))
    assert other.depth[thin] == pytest.approx(2, abs=0.3) and (other.depth != picture.depth).any()
    assert np.abs(other.exact - picture.image / 255.0).max() < 0.51 / 255 and other.depth[0, 0] == 0


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
    picture = Painting([tmp_path], "cpu", paint_gaussians, tmp_path / "blobs").picture(request)
    assert picture.image[14, 19, 3] > 200


def a_panel():
    """A square of two triangles at z = 2 as a surface, and its pose at rest."""
    from milo.protocol.surfaces import Pose, Surface

    verts = np.array([[-0.5, -0.5, 2], [0.5, -0.5, 2], [0.5, 0.5, 2], [-0.5, 0.5, 2]], np.float32)
    faces = np.array([[0, 2, 1], [0, 3, 2]], np.int32)
    surface = Surface(faces, verts, np.ones(4, np.float32), np.float32([[0, 0, -1]] * 4), np.ones(2, np.int32),
                      np.zeros(2, np.int32), np.zeros(1, np.uint8), np.zeros(1, np.uint8))
    return surface, Pose(verts, np.eye(4, dtype=np.float32)[None])


def test_splats_follow_a_surface(server, client, tmp_path):
    """Over the wire with the painter of the product: a red Gaussian on a panel that is moved aside."""
    from dataclasses import replace

    from milo.backend.data.ply import SplatColumns, write_mesh, write_splats
    from milo.backend.service.render_worker import Painting, answer, paint_gaussians
    from milo.protocol.surfaces import Pose

    surface, rest = a_panel()
    (tmp_path / "run").mkdir()
    red = (np.array([[1.0, 0.0, 0.0]], np.float32) - 0.5) / 0.28209479
    write_splats(tmp_path / "run" / "splats.ply", SplatColumns(
        means=np.array([[0, 0, 2]], np.float32), sh_dc=red.astype(np.float32), sh_rest=np.zeros((1, 0, 3), np.float32),
        opacities=np.array([8], np.float32), scales=np.full((1, 3), np.log(0.1), np.float32),
        quats=np.array([[1, 0, 0, 0]], np.float32)))
    client.put(surface.pack())
    painting = Painting([tmp_path], "cpu", paint_gaussians, server.home / "blobs")

    def ask(pose=None, **changed):
        posed = {} if pose is None else {"pose": pose.hash, "positions": pose.positions, "matrices": pose.matrices}
        request = m.RenderSplats("a", EYE4, (60, 0, 20, 0, 60, 15, 0, 0, 1), 40, 30, surface=surface.hash,
                                 **{"pose": rest.hash} | posed)
        return answer(painting, replace(request, **changed))

    assert ask(rest).code == "not_ready"                                # no mesh yet
    write_mesh(tmp_path / "run" / "mesh.ply", surface.rest_co, surface.faces)
    assert ask().code == "not_ready"                                    # a pose by name that never came
    assert ask(rest).image[14, 19, 0] > 240
    assert ask().image[14, 19, 0] > 240                                 # now its name will do
    aside = Pose(rest.positions + np.float32([0.4, 0, 0]), rest.matrices)
    picture = ask(aside)
    assert picture.image[14, 19, 0] < 30 and picture.image[14, 31, 0] > 240
    assert picture.depth[14, 31] == pytest.approx(2, abs=0.3)
    assert ask().code == "not_ready"                                    # only the last pose is kept
    further = rest.matrices.copy()
    further[0, 2, 3] = 2
    assert ask(Pose(rest.positions, further)).depth[14, 19] == pytest.approx(4, abs=0.3)
    assert ask(Pose(rest.positions[:3], rest.matrices)).code == "bad_message"
    assert ask(rest, surface="0" * 64).code == "not_ready"              # a surface that never came


def test_a_surface_reaches_the_painter(client, job):
    """The process that draws is told where surfaces lie, and gets the arrays."""
    from dataclasses import replace

    surface, rest = a_panel()
    surface = replace(surface, replicate=np.ones(1, np.uint8))              # one that nobody has sent
    request = m.RenderSplats(job, EYE4, (0.5, 0, 0, 0, 0.5, 0, 0, 0, 1), 6, 4, surface=surface.hash, pose=rest.hash,
                             positions=rest.positions, matrices=rest.matrices)
    with pytest.raises(ProtocolError) as no:
        client.ask(request)
    assert no.value.code == "not_ready" and "surface" in str(no.value)
    client.put(surface.pack())
    assert client.ask(request).image[0, 0].tolist() == [128, 4, 2, 255]     # vertices and triangles


def test_a_painter_that_is_slow_to_start_does_not_hold_up_the_server(tmp_path, monkeypatch):
    """A pose of megabytes waits for it, not the loop that asks."""
    import time
    from dataclasses import replace

    from milo.backend.service.peer import Peer
    from milo.backend.service.renderers import Renderers

    (tmp_path / "slow_painter.py").write_text("import time\ntime.sleep(60)\n")
    (tmp_path / "job").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    posted, replies = [], []
    renderers = Renderers(tmp_path, tmp_path, "cpu", "raw", "slow_painter:paint", posted.append, None,
                          lambda peer, message: replies.append((peer, message)))
    request = replace(view("job"), surface="0" * 64, pose="0" * 64, positions=np.zeros((300_000, 3), np.float32),
                      matrices=np.zeros((1, 4, 4), np.float32))
    peer, begun = Peer(b"somebody", 1), time.monotonic()
    renderers.ask(peer, request)
    assert time.monotonic() - begun < 5.0 and not posted
    renderers.close_all()
    deadline = time.monotonic() + 20
    while not posted and time.monotonic() < deadline:
        time.sleep(0.02)
    posted[0]()
    assert [(who, answer.code) for who, answer in replies] == [(peer, "worker_died")]
