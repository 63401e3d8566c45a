# SPDX-License-Identifier: Apache-2.0
"""Evaluation and pictures of a run folder, from splats that show a known picture."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from milo.backend.config import load_config
from milo.backend.data.errors import SceneError
from milo.backend.data.ply import SplatColumns, write_mesh, write_splats
from milo.backend.evaluation.finished_run import open_run
from milo.backend.evaluation.page import write_page
from milo.backend.evaluation.report import MeshNvs, evaluate_run
from milo.backend.evaluation.run_pictures import make_pictures
from milo.backend.evaluation.tables import print_report

SUZANNE = Path(__file__).resolve().parents[3] / "examples" / "suzanne"


@pytest.fixture
def run(tmp_path) -> Path:
    """The folder of a run of the sample scene whose splats are its initial points, and whose mesh is the truth."""
    from milo.backend.data.colmap import read_points

    points, colors = read_points(SUZANNE / "sparse/0/points3D.bin")
    count = len(points)
    quats = np.tile(np.float32([1, 0, 0, 0]), (count, 1))
    path = tmp_path / "run"
    (path / "stages").mkdir(parents=True)
    write_splats(path / "splats.ply", SplatColumns(
        means=points.astype(np.float32), sh_dc=((colors / 255 - 0.5) / 0.28209479).astype(np.float32),
        sh_rest=np.zeros((count, 0, 3), np.float32), opacities=np.full(count, 4, np.float32),
        scales=np.full((count, 3), np.log(0.02), np.float32), quats=quats, filter_3d=np.zeros(count, np.float32)))
    shutil.copyfile(SUZANNE / "gt_mesh.ply", path / "mesh.ply")
    write_mesh(path / "stages" / "000500_provisional.ply", np.eye(3, dtype=np.float32), np.array([[0, 1, 2]]))
    write_mesh(path / "stages" / "000900_live.ply", np.eye(3, dtype=np.float32), np.array([[0, 1, 2]]))
    (path / "config.json").write_text(json.dumps(load_config(["preview"], ["data.max_width=100"]).to_dict()))
    (path / "run.json").write_text(json.dumps({"format": 1, "scene_path": str(SUZANNE)}))
    return path


def test_report(run, capfd):
    report = evaluate_run(run, samples=2000)
    assert json.loads((run / "evaluation.json").read_text()) == report and report["format"] == 1
    assert [view["name"] for view in report["views"]] == [f"test_00{i}.jpg" for i in range(8)]
    assert report["psnr"] == pytest.approx(np.mean([view["psnr"] for view in report["views"]]))
    assert 14 < report["psnr"] < 35 and 0.3 < report["ssim"] < 1      # coarse splats, but at the right place
    assert report["score"]["tau 0.01"]["fscore"] > 0.98 and report["gaussians"] == 5000
    assert report["mesh_psnr"] == pytest.approx(np.mean([view["mesh_psnr"] for view in report["views"]]))
    assert report["mesh_psnr"] > 18 and 0.05 < report["mesh_coverage"] < 0.95    # the true mesh, in its true colours
    assert report["score_seen"]["faces"] < report["score"]["faces"]      # the underside of the disc is gone
    assert report["score_seen"]["tau 0.01"]["recall"] > 0.98
    print_report(report)
    words = capfd.readouterr().out
    assert "test_007.jpg" in words and "F-score" in words and f"{report['psnr']:.2f}" in words
    assert f"{report['mesh_psnr']:.2f}" in words and "training views see" in words


def test_further_meshes_mesh_nvs_and_the_page(run, capfd):
    shutil.copyfile(SUZANNE / "gt_mesh.ply", run / "mesh_other.ply")
    report = evaluate_run(run, samples=2000, meshes=[run / "mesh_other.ply"], nvs=MeshNvs("corrected", 12, 16))
    (other,) = report["meshes"]
    assert other["mesh"] == "mesh_other.ply" and other["mesh_psnr"] == report["mesh_psnr"]
    assert other["score"] == report["score"]
    nvs = report["mesh_nvs"]
    assert (nvs["mode"], nvs["iterations"], nvs["resolution"]) == ("corrected", 12, 16) and nvs["psnr"] > 10
    print_report(report)
    words = capfd.readouterr().out
    assert "mesh_other.ply" in words and "corrected" in words
    page = write_page(report, run)
    text = page.read_text(encoding="utf-8")
    assert page == run / "report" / "index.html" and "<script" not in text
    for shown in ("test_000.jpg", f"{report['psnr']:.2f}", "mesh_other.ply", "0_shaded.jpg"):
        assert shown in text
    for name in re.findall(r'src="([^"]+)"', text):
        assert (page.parent / name).is_file()


def test_splats_land_where_the_photos_show_them(run):
    opened = open_run(run)
    view = opened.scene.test[0]
    covered = opened.splat_image(view, torch.ones(3)).min(0).values < 0.9
    mask = view.mask > 127
    assert (covered & mask).sum() / (covered | mask).sum() > 0.85


def test_pictures(run):
    sheet = make_pictures(run, every_view=True)
    names = sorted(path.name for path in sheet.parent.iterdir())
    kinds = ("photo", "splats", "mesh", "shaded", "normals")
    assert names == sorted(["contact_sheet.png", *(f"test_00{i}_{kind}.png" for i in range(8) for kind in kinds)])
    photo = np.asarray(Image.open(sheet.parent / "test_001_photo.png")).astype(float)
    mesh = np.asarray(Image.open(sheet.parent / "test_001_mesh.png")).astype(float)
    assert photo.shape == mesh.shape == (100, 100, 3) and np.abs(photo - mesh).mean() < 15
    assert Image.open(sheet).width > 5 * 300


def test_a_run_without_its_scene(run, tmp_path):
    (run / "run.json").write_text(json.dumps({"format": 1, "scene_path": str(tmp_path / "gone")}))
    with pytest.raises(SceneError, match="with --scene"):
        open_run(run)
    assert open_run(run, SUZANNE).scene.name == "suzanne"


def test_a_damaged_record_is_named(run):
    (run / "config.json").write_text('{"format": 1, ')
    with pytest.raises(SceneError, match=r"config\.json: it cannot be read"):
        open_run(run)


def test_splats_nearer_than_the_default_near_plane_are_drawn(run):
    """The near plane follows the scene's size: a tiny scene is as visible as a large one."""
    def smaller(view):
        viewmat = view.camera.viewmat.clone()
        viewmat[:3, 3] *= 0.02
        return dataclasses.replace(view, camera=dataclasses.replace(view.camera, viewmat=viewmat))

    opened = open_run(run)
    small = dataclasses.replace(
        opened, scene=dataclasses.replace(opened.scene, train=[smaller(view) for view in opened.scene.train]),
        splats=opened.splats._replace(means=opened.splats.means * 0.02, scales=opened.splats.scales * 0.02))
    view = opened.scene.test[0]
    assert torch.allclose(small.splat_image(smaller(view)), opened.splat_image(view), atol=2e-3)


@pytest.mark.parametrize("missing, words", [("config.json", "not the folder of a run"), ("mesh.ply", "not finished"),
                                            ("splats.ply", "not finished")])
def test_not_a_finished_run(run, missing, words):
    (run / missing).unlink()
    with pytest.raises(SceneError, match=words):
        open_run(run)
