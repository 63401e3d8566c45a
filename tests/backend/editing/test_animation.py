# SPDX-License-Identifier: Apache-2.0
"""Saved animations to pictures: the right ones, gone on with after a stop, anew when something has changed."""

import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from milo.backend import cli
from milo.backend.data.ply import write_mesh
from milo.backend.data.spz import write_spz
from milo.backend.editing.animation import render_animation
from milo.backend.gaussians.files import drawn_columns, load_gaussians, save_gaussians
from milo.backend.gaussians.model import Gaussians
from milo.backend.rendering.splats import render_view
from milo.protocol.surfaces import AnimationWriter, Frame

from .conftest import SIZE, K, look_at, pose_of, scatter, similarity, sphere, surface_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run: a sphere with Gaussians."""
    folder = tmp_path_factory.mktemp("run")
    verts, faces = sphere()
    splats = scatter(verts, faces, 800)
    gaussians = Gaussians.from_points(splats.means, torch.rand(800, 3), storage_degree=3)
    tensors = gaussians.tensors() | {"sh_rest": splats.sh_rest, "log_scales": splats.scales.log(),
                                     "quats": splats.quats, "opacity_logits": torch.logit(splats.opacities)}
    save_gaussians(folder / "splats.ply", Gaussians(tensors, 3))
    write_mesh(folder / "mesh.ply", verts, faces)
    (folder / "config.json").write_text("{}")
    (folder / "run.json").write_text('{"splat_near": 0.01, "rasterizer": "radegs"}')
    return folder


@pytest.fixture
def walk(tmp_path):
    """Frames 10, 12 and 14: at rest, moved, and with half of the faces gone."""
    verts, faces = sphere()
    surface, pose = surface_of(verts, faces)
    half, _ = surface_of(verts, faces[verts[faces].mean(1)[:, 0] > 0])
    camera = look_at((1.0, -6.0, 2.0)).numpy()
    with AnimationWriter(tmp_path / "walk.npz", SIZE) as writer:
        writer.add(Frame(10, camera, K.numpy(), surface, pose))
        writer.add(Frame(12, camera, K.numpy(), surface, pose_of(verts, similarity())))
        writer.add(Frame(14, camera, K.numpy(), half, pose))
    return tmp_path / "walk.npz"


def test_pictures_of_every_frame(run, walk, tmp_path):
    out = tmp_path / "out"
    done = list(render_animation({1: run}, walk, out))
    assert [(one.done, one.of, one.path.name, one.drawn) for one in done] == [
        (1, 3, "frame_0010.png", True), (2, 3, "frame_0012.png", True), (3, 3, "frame_0014.png", True)]
    splats, camera = load_gaussians(run / "splats.ply").splats().detach(), look_at((1.0, -6.0, 2.0))
    for one, viewmat in zip(done, (camera, camera @ torch.tensor(similarity(), dtype=torch.float32))):
        expected = render_view(splats, viewmat, K, SIZE, near=0.01).image.permute(1, 2, 0).numpy() * 255
        assert np.abs(np.asarray(Image.open(one.path), np.float32) - expected).max() < 3
    whole, half = (np.asarray(Image.open(done[k].path)).any(2).mean() for k in (0, 2))
    assert 0.3 * whole < half < 0.9 * whole


def test_a_stopped_rendering_goes_on(run, walk, tmp_path):
    out = tmp_path / "out"
    stops = iter([False, True])
    assert len(list(render_animation({1: run}, walk, out, should_stop=lambda: next(stops)))) == 1
    first = (out / "frame_0010.png").stat().st_mtime_ns
    assert [one.drawn for one in render_animation({1: run}, walk, out)] == [False, True, True]
    assert (out / "frame_0010.png").stat().st_mtime_ns == first
    assert not any(one.drawn for one in render_animation({1: run}, walk, out))
    assert all(one.drawn for one in render_animation({1: run}, walk, out, resume=False))
    os.utime(walk, (1, 1))                                            # saved again
    assert all(one.drawn for one in render_animation({1: run}, walk, out))


def test_transparent_pictures_have_straight_alpha(run, walk, tmp_path):
    names = ("black", "transparent")
    drawn = [next(render_animation({1: run}, walk, tmp_path / name, background=name)) for name in names]
    black, clear = (np.asarray(Image.open(one.path), np.float32) for one in drawn)
    assert clear.shape[2] == 4 and clear[0, 0].tolist() == [0, 0, 0, 0] and clear[..., 3].max() > 200
    fits = clear[..., :3] < 255                                       # brighter than white has no straight alpha
    assert np.abs(clear[..., :3] * clear[..., 3:] / 255 - black)[fits].max() < 3


def test_splats_that_a_blend_has_stored_small(run, walk, tmp_path, capfd):
    """An SPZ does as well as the PLY that it was made of; damaged, it is named."""
    stored, picture = tmp_path / "stored", {}
    stored.mkdir()
    for name in ("mesh.ply", "config.json", "run.json"):
        shutil.copyfile(run / name, stored / name)
    write_spz(stored / "splats.spz", drawn_columns(run / "splats.ply"))
    for folder in (run, stored):
        with pytest.raises(SystemExit) as caught:
            cli.main(["render-animation", str(folder), str(walk), "-o", str(tmp_path / folder.name), "--device", "cpu"])
        assert not caught.value.code, capfd.readouterr().err
        picture[folder] = [np.asarray(Image.open(path), np.float32)
                           for path in sorted((tmp_path / folder.name).glob("*.png"))]
    assert len(picture[run]) == len(picture[stored]) == 3
    for exact, small in zip(picture[run], picture[stored]):
        assert exact.max() > 100 and 0 < np.square(exact - small).mean() < 255**2 / 10**3.5      # 35 dB
    (stored / "splats.spz").write_bytes(b"no splats")
    with pytest.raises(SystemExit) as caught:
        cli.main(["render-animation", str(stored), str(walk), "-o", str(tmp_path / "stored")])
    assert caught.value.code == 2 and "splats.spz" in capfd.readouterr().err


def test_the_command(run, walk, tmp_path, capfd):
    def milo(*arguments):
        with pytest.raises(SystemExit) as caught:
            cli.main([str(argument) for argument in arguments])
        return caught.value.code or 0, capfd.readouterr()
    code, words = milo("render-animation", run, walk, "-o", tmp_path / "out", "--device", "cpu")
    assert code == 0 and "3 frames" in words.out and len(list((tmp_path / "out").glob("*.png"))) == 3
    (tmp_path / "broken.npz").write_bytes(walk.read_bytes()[:5000])
    for arguments, sentence in (((run, tmp_path / "none.npz"), "no such file"), ((tmp_path, walk), "not the folder"),
                                ((run, tmp_path / "broken.npz"), "cannot be read"),
                                ((run, walk, "--run", "two"), "NUMBER=FOLDER"),
                                ((run, walk, "--background", "pink"), "pink")):
        code, words = milo("render-animation", *arguments, "-o", tmp_path / "other")
        assert code == 2 and sentence in words.err and words.err.count("\n") == 1, words.err
