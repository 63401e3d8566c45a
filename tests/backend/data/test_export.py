# SPDX-License-Identifier: Apache-2.0
"""What is exported is read back the same, by our readers and by what other programs expect."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from milo.backend.config import DataConfig
from milo.backend.data.errors import SceneError
from milo.backend.data.export import export_colmap, export_splat_folder, export_transforms
from milo.backend.data.posed import PosedImage, PosedImages
from milo.backend.data.scene import load_scene, read_posed
from milo.backend.data.splat_folder import latest_splats, read_arguments, read_cameras


@pytest.fixture
def posed(tmp_path) -> PosedImages:
    """Four photos, two lenses, one sub-folder, a space in a name, masks, off-centre principal points."""
    rng = np.random.default_rng(0)
    images = []
    for i, name in enumerate(["a b.png", "c.png", "sub/d.png", "sub/e.png"]):
        for folder in ("images", "masks"):
            (tmp_path / "in" / folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8)).save(tmp_path / "in/images" / name)
        Image.fromarray(np.full((20, 30), 255, np.uint8)).save(tmp_path / "in/masks" / name)
        viewmat = np.eye(4)
        viewmat[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        viewmat[:3, :3] *= np.sign(np.linalg.det(viewmat[:3, :3]))
        viewmat[:3, 3] = rng.normal(size=3)
        K = np.array([[25.0 + i // 2, 0, 14.25], [0, 26, 11.5], [0, 0, 1]])
        images.append(PosedImage(name, tmp_path / "in/images" / name, viewmat, K, 30, 20, tmp_path / "in/masks" / name))
    points, colors = rng.normal(size=(50, 3)), rng.integers(0, 255, (50, 3), np.uint8)
    return PosedImages(images, points, colors, tmp_path / "in", frozenset(["c.png"]))


@pytest.mark.parametrize("export", [export_colmap, export_transforms])
def test_a_scene_comes_back(posed, tmp_path, export):
    export(posed, tmp_path / "out")
    back = read_posed(tmp_path / "out", DataConfig())
    assert [image.name for image in back.images] == [image.name for image in posed.images]
    for ours, theirs in zip(back.images, posed.images):
        assert np.allclose(ours.viewmat, theirs.viewmat, atol=1e-9) and np.allclose(ours.K, theirs.K)
        assert (ours.width, ours.height) == (30, 20) and ours.path.read_bytes() == theirs.path.read_bytes()
        assert ours.mask.read_bytes() == theirs.mask.read_bytes()
    assert np.allclose(back.points, posed.points, atol=1e-6) and np.array_equal(back.colors, posed.colors)
    scene = load_scene(tmp_path / "out")
    assert [view.camera.name for view in scene.test] == ["c.png"] and len(scene.train) == 3


def test_nothing_is_overwritten(posed, tmp_path):
    export_colmap(posed, tmp_path / "out")
    with pytest.raises(SceneError, match="something at this place"):
        export_transforms(posed, tmp_path / "out")


def test_the_folder_of_3dgs(posed, tmp_path):
    (tmp_path / "in" / "splats.ply").write_bytes(b"ply")
    export_colmap(posed, tmp_path / "scene")
    scene = load_scene(tmp_path / "scene")
    cameras = [view.camera for view in scene.train]
    place = export_splat_folder(tmp_path / "in" / "splats.ply", posed, cameras, tmp_path / "out", iteration=18000,
                                sh_degree=3, scene=tmp_path / "scene", images="images", white_background=False)
    assert latest_splats(tmp_path / "out") == place == tmp_path / "out/point_cloud/iteration_18000/point_cloud.ply"
    arguments = read_arguments(tmp_path / "out")
    assert arguments["sh_degree"] == 3 and Path(arguments["source_path"]) == (tmp_path / "scene").resolve()
    for ours, theirs in zip(read_cameras(tmp_path / "out" / "cameras.json"), cameras):
        assert ours.name == theirs.name and np.allclose(ours.viewmat, theirs.viewmat, atol=1e-5)
        assert np.allclose(ours.center, theirs.center, atol=1e-5) and torch.equal(ours.K, theirs.K)


def test_the_latest_iteration_counts_as_a_number(tmp_path):
    for iteration in (7000, 30000, 18000):
        (tmp_path / f"point_cloud/iteration_{iteration}").mkdir(parents=True)
        (tmp_path / f"point_cloud/iteration_{iteration}/point_cloud.ply").touch()
    assert latest_splats(tmp_path).parent.name == "iteration_30000" and latest_splats(tmp_path / "nowhere") is None


@pytest.mark.parametrize("text", ["Namespace(x=__import__('os'))", "dict(a=1)", "Namespace(", "1"])
def test_arguments_are_values_only(tmp_path, text):
    (tmp_path / "cfg_args").write_text(text)
    with pytest.raises(SceneError, match="cannot be read"):
        read_arguments(tmp_path)


def test_damaged_camera_lists(tmp_path):
    path = tmp_path / "cameras.json"
    for text, words in (("{", "cannot be read"), ("{}", "at least two"), ('[{"img_name": "a"}, {}]', "incomplete")):
        path.write_text(text)
        with pytest.raises(SceneError, match=words):
            read_cameras(path)
    good = {"img_name": "a", "width": 4, "height": 4, "position": [0, 0, 0], "rotation": np.eye(3).tolist(), "fx": 1}
    path.write_text(json.dumps([good, good]))
    with pytest.raises(SceneError, match="fy"):
        read_cameras(path)
