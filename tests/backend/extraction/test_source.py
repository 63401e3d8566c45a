# SPDX-License-Identifier: Apache-2.0
"""Meshes of splats that others have trained: single PLY files, and folders of 3DGS and of the reference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from milo.backend.config import DataConfig, load_config, with_overrides
from milo.backend.data.cameras import Camera
from milo.backend.data.colmap import read_points
from milo.backend.data.errors import SceneError
from milo.backend.data.ply import SplatColumns, read_mesh, read_splats, write_splats
from milo.backend.data.scene import load_scene
from milo.backend.data.splat_folder import camera_records
from milo.backend.evaluation.finished_run import open_run
from milo.backend.extraction.extract import ExtractionStopped, extract
from milo.backend.extraction.methods import mesh_of
from milo.backend.extraction.source import open_source
from milo.backend.rendering.splats import render_view

SUZANNE = Path(__file__).resolve().parents[3] / "examples" / "suzanne"
SMALL = ["data.max_width=60", "extract.method=depth_fusion", "extract.binary_steps=1"]


def write_splat_file(path: Path, occupancy: bool = False) -> None:
    points, colors = (rows[::5] for rows in read_points(SUZANNE / "sparse/0/points3D.bin"))
    count = len(points)
    logits = np.full((count, 9), 2, np.float32)
    logits[::2] = 0
    write_splats(path, SplatColumns(
        means=points.astype(np.float32), sh_dc=((colors / 255 - 0.5) / 0.28209479).astype(np.float32),
        sh_rest=np.zeros((count, 15, 3), np.float32), opacities=np.full(count, 4, np.float32),
        scales=np.full((count, 3), np.log(0.04), np.float32), quats=np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        filter_3d=np.full(count, 0.01, np.float32) if occupancy else None,
        base_occupancy=logits if occupancy else None, occupancy_shift=0.5 * logits if occupancy else None))


@pytest.fixture
def folder(tmp_path) -> Path:
    """The output folder of the reference for the sample scene."""
    place = tmp_path / "out" / "point_cloud" / "iteration_18000"
    place.mkdir(parents=True)
    write_splat_file(place / "point_cloud.ply", occupancy=True)
    scene = load_scene(SUZANNE, DataConfig(max_width=200))
    cameras: list[Camera] = [view.camera for view in [*scene.test, *scene.train]]
    (tmp_path / "out" / "cameras.json").write_text(json.dumps(camera_records(cameras)))
    (tmp_path / "out" / "cfg_args").write_text(
        f"Namespace(sh_degree=3, source_path={str(SUZANNE)!r}, model_path='./out', images='images', resolution=-1, "
        "white_background=False, data_device='cuda', eval=True, llff=8, kernel_size=0.0)")
    return tmp_path / "out"


def test_a_ply_with_a_scene(tmp_path):
    write_splat_file(tmp_path / "cat.ply")
    with pytest.raises(SceneError, match="--scene"):
        extract(tmp_path / "cat.ply")
    path = extract(tmp_path / "cat.ply", None, SMALL, scene=SUZANNE)
    assert path == tmp_path / "cat_mesh.ply" and len(read_mesh(path)[1]) > 500
    assert len(open_source(tmp_path / "cat.ply", SUZANNE, SMALL).views) == 48     # all photos, none held out


def test_a_folder_of_the_reference(folder):
    source = open_source(folder, overrides=SMALL)
    assert len(source.views) == 40 and source.config.data.holdout and source.output == folder / "mesh_depth_fusion.ply"
    assert (source.logits[1] == 3).all() and not source.logits[0].any()           # base + shift
    assert float(source.splats.scales[0, 0]) == pytest.approx(np.hypot(0.04, 0.01), rel=1e-4)


def test_a_folder_of_the_reference_is_evaluated(folder):
    with pytest.raises(SceneError, match="milo extract"):
        open_run(folder)
    extract(folder, folder / "mesh_learnable_sdf.ply", SMALL)
    run = open_run(folder)
    assert len(run.scene.test) == 8 and len(run.verts) > 300 and run.colors is not None
    (folder / "cfg_args").unlink()
    with pytest.raises(SceneError, match="photos of its scene"):
        open_run(folder)


def test_the_cameras_of_a_run_are_as_large_as_its_photos_were_used(tmp_path, folder):
    run = tmp_path / "run"
    run.mkdir()
    write_splat_file(run / "splats.ply")
    (run / "config.json").write_text(json.dumps(load_config([], ["data.resolution=2"]).to_dict()))
    (run / "run.json").write_text(json.dumps({"format": 1, "scene_path": str(SUZANNE)}))
    source = open_source(run, folder / "cameras.json")
    assert {view.camera.size for view in source.views} == {(200, 200)}


def test_splats_without_a_3d_filter_are_drawn_as_3dgs_draws_them(tmp_path, folder):
    """Unless one says that they were made otherwise; those of the reference have the filter."""
    write_splat_file(tmp_path / "cat.ply")
    for settings, low_pass in (([], 0.3), (["extract.low_pass=0.1"], 0.1)):
        source = open_source(tmp_path / "cat.ply", folder / "cameras.json", [*SMALL, *settings])
        assert source.config.extract.low_pass == low_pass
    assert open_source(folder, overrides=SMALL).config.extract.low_pass == 0

    place = folder / "point_cloud" / "iteration_18000" / "point_cloud.ply"
    extract(folder, folder / "mesh.ply", [*SMALL, "extract.max_points=9000"])
    with_filter = open_run(folder)
    write_splat_file(place)
    without = open_run(folder)
    assert (with_filter.scale.low_pass, without.scale.low_pass) == (0, 0.3)
    view = without.scene.test[0]
    plain, wider = (render_view(without.splats, view.camera.viewmat, view.camera.K, view.camera.size,
                                near=without.scale.splat_near, low_pass=low_pass).image for low_pass in (0, 0.3))
    assert torch.equal(without.splat_image(view), wider) and not torch.equal(plain, wider)


def test_depths_that_are_fused_are_of_the_wider_splats(ball):
    """A ball of dots far below a pixel has a mesh only if they are drawn as wide as they were trained."""
    dots = ball.splats._replace(scales=torch.full_like(ball.splats.scales, 2e-3))
    for method in ("depth_fusion", "tsdf"):
        vertices = []
        for low_pass in (0.0, 1.0):
            config = with_overrides(ball.config, [f"extract.method={method}", f"extract.low_pass={low_pass}",
                                                  "tsdf.resolution=70", "extract.binary_steps=1"])
            *_, mesh = mesh_of(dots, torch.zeros(600, 9), ball.views, config, ball.scale, torch.Generator())
            vertices.append(len(mesh.verts))
        assert vertices[1] > 5 * vertices[0] and vertices[1] > 2000, method


def test_without_photos_the_splats_give_the_colours(folder):
    (folder / "cfg_args").unlink()
    source = open_source(folder, overrides=SMALL)
    assert len(source.views) == 48 and source.views[0].image.float().std() > 10
    path = extract(folder, None, SMALL)
    _, faces, colors = read_mesh(path)
    assert path == folder / "mesh_depth_fusion.ply" and len(faces) > 300 and colors.std() > 10


def test_stopping_writes_nothing(folder):
    with pytest.raises(ExtractionStopped):
        extract(folder, None, SMALL, should_stop=lambda: True)
    assert not list(folder.glob("*.ply"))


def test_discs_of_2dgs_get_a_thickness(tmp_path):
    write_splat_file(tmp_path / "a.ply")
    data = (tmp_path / "a.ply").read_bytes()
    header, body = data.split(b"end_header\n", 1)
    names = [line.split()[-1].decode() for line in header.splitlines() if line.startswith(b"property")]
    table = np.frombuffer(body, np.float32).reshape(-1, len(names))
    header = header.replace(b"property float scale_2\n", b"")
    (tmp_path / "b.ply").write_bytes(header + b"end_header\n" + np.delete(table, names.index("scale_2"), 1).tobytes())
    scales = read_splats(tmp_path / "b.ply").scales
    assert scales.shape[1] == 3 and np.allclose(np.exp(scales[:, 2] - scales[:, 0]), 1e-3)
