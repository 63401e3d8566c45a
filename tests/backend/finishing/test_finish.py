# SPDX-License-Identifier: Apache-2.0
"""A run made into an asset: files, figures, its place, stopping."""

import json
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from milo.backend import cli
from milo.backend.config import DataConfig, load_config
from milo.backend.data.errors import SceneError
from milo.backend.data.ply import SplatColumns, read_mesh, read_splats, write_splats
from milo.backend.data.scene import load_scene
from milo.backend.data.spz import read_spz, write_spz
from milo.backend.finishing.finish import FinishingStopped, finish
from milo.backend.finishing.options import FinishOptions
from milo.backend.finishing.placement import UP, moved_splats, placement
from milo.backend.gaussians.files import drawn_columns, load_gaussians
from milo.backend.rendering.splats import render_view
from milo.backend.training.run_directory import RunDirectory

SUZANNE = Path(__file__).resolve().parents[3] / "examples" / "suzanne"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the sample scene, small, whose mesh is the truth."""
    path = tmp_path_factory.mktemp("run")
    write_splats(path / "splats.ply", few_splats())
    shutil.copyfile(SUZANNE / "gt_mesh.ply", path / "mesh.ply")
    (path / "config.json").write_text(json.dumps(load_config(["preview"], ["data.max_width=100"]).to_dict()))
    (path / "run.json").write_text(json.dumps({"format": 1, "scene_path": str(SUZANNE)}))
    return path


def few_splats(count=60, degree=2):
    rng = np.random.default_rng(0)
    return SplatColumns(
        means=rng.uniform(-1, 1, (count, 3)).astype(np.float32), sh_dc=rng.normal(size=(count, 3)).astype(np.float32),
        sh_rest=rng.normal(0, 0.2, (count, (degree + 1) ** 2 - 1, 3)).astype(np.float32),
        opacities=rng.normal(1, 1, count).astype(np.float32), scales=rng.normal(-2, 0.5, (count, 3)).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32), filter_3d=np.full(count, 0.02, np.float32))


def glb_parts(path):
    """The JSON and the binary chunk of a GLB file, sizes checked."""
    data = path.read_bytes()
    magic, version, length, text = struct.unpack_from("<4sIII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data)) and data[16:20] == b"JSON"
    size, kind = struct.unpack_from("<I4s", data, 20 + text)
    assert kind == b"BIN\0" and 28 + text + size == len(data) and text % 4 == 0 and size % 4 == 0
    return json.loads(data[20:20 + text]), data[28 + text:]


def test_an_asset_with_two_levels(run, tmp_path):
    steps = []
    done = finish(run, tmp_path, FinishOptions(triangles=3000, texture=256, levels=2, scale=0.5, origin="base"),
                  on_step=steps.append)
    assert all((tmp_path / name).is_file() for name in done.files) and not list(tmp_path.glob("*.partial"))
    assert {"mesh.glb", "mesh.obj", "mesh.mtl", "mesh_color.png", "mesh_normal.png", "mesh.ply", "mesh_lod1.glb",
            "splats.ply", "splats.spz", "comparison.jpg", "finish.json"} <= set(done.files)
    assert {"clean", "decimate", "unwrap", "bake", "relief", "saving"} <= {step.stage for step in steps}
    report = json.loads((tmp_path / "finish.json").read_text())
    first, second = report["levels"]
    assert first["triangles"] <= 3000 and second["triangles"] <= 750 and second["texture"] == 128
    assert first["psnr"] > 18 and first["psnr"] > report["full"]["psnr"] - 1.0    # the truth in its true colours
    assert Image.open(tmp_path / "mesh_color.png").size == (256, 256)

    verts, faces, colors = read_mesh(tmp_path / "mesh.ply")
    truth = read_mesh(run / "mesh.ply")[0]
    assert verts[:, 2].min() == pytest.approx(0, abs=1e-5) and colors is not None
    np.testing.assert_allclose(verts[:, :2].max(0) + verts[:, :2].min(0), 0, atol=0.1)
    assert np.ptp(verts, axis=0) == pytest.approx(0.5 * np.ptp(truth, axis=0), rel=0.1)

    document, data = glb_parts(tmp_path / "mesh.glb")
    place = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    view = document["bufferViews"][place["bufferView"]]
    stored = np.frombuffer(data, "<f4", 3 * place["count"], view["byteOffset"]).reshape(-1, 3)
    np.testing.assert_allclose(stored, verts[:, [0, 2, 1]] * [1, 1, -1], atol=1e-6)
    rows = (tmp_path / "mesh.obj").read_text().splitlines()
    assert sum(row.startswith("v ") for row in rows) == len(verts)
    assert sum(row.startswith("f ") for row in rows) == len(faces)
    assert "map_Kd mesh_color.png" in (tmp_path / "mesh.mtl").read_text()

    small, large = read_spz(tmp_path / "splats.spz"), read_splats(tmp_path / "splats.ply")
    assert np.abs(small.means - large.means).max() < 1e-3
    drawn = load_gaussians(tmp_path / "splats.ply").splats().scales.detach().log().numpy()
    assert np.abs(small.scales - drawn).max() < 0.04     # the filter is in the sizes


def test_balanced_photos(run, tmp_path):
    """Photos of one exposure stay about as they are: what differs is how light falls."""
    done = finish(run, tmp_path, FinishOptions(triangles=500, texture=64, balance=True))
    least, most = done.report["gains"]
    assert 0.8 < least < 1 < most < 1.25 and done.report["levels"][0]["psnr"] > 15


def test_colours_from_splats(run, tmp_path):
    options = FinishOptions(triangles=500, texture=64, source="splats")
    assert 0 < finish(run, tmp_path, options).report["levels"][0]["seen"] <= 1


def test_without_photos_the_colours_are_those_of_the_splats(run, tmp_path, capfd):
    """As a .blend keeps a run: with the cameras, and splats that may be an SPZ; a plain sentence without cameras."""
    scene, stored = load_scene(SUZANNE, DataConfig(max_width=100)), tmp_path / "stored"
    stored.mkdir()
    for name in ("mesh.ply", "config.json"):
        shutil.copyfile(run / name, stored / name)
    write_spz(stored / "splats.spz", drawn_columns(run / "splats.ply"))
    (stored / "run.json").write_text(json.dumps({"format": 1, "scene_path": str(tmp_path / "gone")}))
    with pytest.raises(SceneError, match="--scene"):
        finish(stored, tmp_path / "out")
    RunDirectory(stored).write_cameras([view.camera for view in scene.train])
    options = FinishOptions(triangles=500, texture=64, balance=True)
    done = finish(stored, tmp_path / "out", options)
    assert done.report["source"] == "splats" and done.report["gains"] == [] and "psnr" not in done.report["levels"][0]
    assert (tmp_path / "out" / "comparison.jpg").is_file() and len(read_splats(tmp_path / "out" / "splats.ply").means)
    with_photos = finish(run, tmp_path / "seen", replace(options, source="splats"))
    level, other = done.report["levels"][0], with_photos.report["levels"][0]
    assert level["triangles"] == other["triangles"] and level["texels"] == other["texels"]
    same, photos = (np.asarray(Image.open(tmp_path / name / "mesh_color.png"), float) for name in ("out", "seen"))
    assert same.std() > 10 and np.abs(same - photos).mean() < 12       # but for masks, which only photos have
    with pytest.raises(SystemExit) as caught:
        cli.main(["finish", str(stored), "-o", str(tmp_path / "cli"), "--triangles", "200", "--texture", "32",
                  "--device", "cpu"])
    assert not caught.value.code and "made from the splats" in capfd.readouterr().out


@pytest.mark.parametrize("stage", ["clean", "bake", "compare"])
def test_stopping(run, tmp_path, stage):
    stages = []
    with pytest.raises(FinishingStopped):
        finish(run, tmp_path, FinishOptions(triangles=200, texture=32), on_step=lambda step: stages.append(step.stage),
               should_stop=lambda: stages[-1] == stage)
    assert stages[-1] == stage and not (tmp_path / "finish.json").exists()


@pytest.mark.parametrize("wrong", [{"up": "w"}, {"origin": "there"}, {"scale": 0.0}, {"scale": float("nan")},
                                   {"source": "memory"}, {"triangles": 0}, {"texture": 100_000}, {"levels": 0}])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FinishOptions(**wrong)


@pytest.mark.parametrize("axis", UP)
def test_the_chosen_axis_becomes_up(axis):
    vector = np.eye(3)["xyz".index(axis[-1])] * (-1 if axis[0] == "-" else 1)
    place = placement(np.zeros((1, 3)), 2.0, axis)
    np.testing.assert_allclose(place.moved(vector[None])[0], [0, 0, 2], atol=1e-6)
    assert np.linalg.det(place.R) == pytest.approx(1)


@pytest.mark.parametrize("axis", ["y", "-x"])
def test_placed_splats_look_as_before_from_a_camera_that_moved_along(tmp_path, axis):
    """Turned, scaled and moved with the camera, Gaussians give the same picture, harmonics included."""
    splats = few_splats()
    place = placement(splats.means, 1.7, axis, "base")
    write_splats(tmp_path / "a.ply", splats)
    write_splats(tmp_path / "b.ply", moved_splats(splats, place))
    K = torch.tensor([[80.0, 0, 40], [0, 80, 30], [0, 0, 1]])
    before = torch.eye(4, dtype=torch.float64)
    before[2, 3] = 4.0
    inverse = torch.eye(4, dtype=torch.float64)         # x = R^T (x' - offset) / scale
    inverse[:3, :3] = torch.from_numpy(place.R.T) / place.scale
    inverse[:3, 3] = -inverse[:3, :3] @ torch.from_numpy(place.offset)
    after = before @ inverse
    after[:3] *= place.scale                             # rigid again: farther away, as everything is larger
    pictures = [render_view(load_gaussians(tmp_path / name).splats().detach(), viewmat.float(), K, (60, 80)).image
                for name, viewmat in (("a.ply", before), ("b.ply", after))]
    error = (pictures[0] - pictures[1]).square().mean()
    assert pictures[0].max() > 0.3 and error < 1e-5      # 50 dB
