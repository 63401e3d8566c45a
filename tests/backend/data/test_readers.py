# SPDX-License-Identifier: Apache-2.0
"""Every reader gives the same cameras, photos and points."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from milo.backend.config import DataConfig
from milo.backend.data.colmap import find_model, read_colmap
from milo.backend.data.ply import write_mesh
from milo.backend.data.posed import closest_to_axes, random_points
from milo.backend.data.scene import load_scene
from milo.backend.data.transforms import read_transforms


def assert_same_cameras(views, others):
    assert [view.camera.name for view in views] == [view.camera.name for view in others]
    for view, other in zip(views, others):
        torch.testing.assert_close(view.camera.viewmat, other.camera.viewmat, rtol=0, atol=1e-5)
        torch.testing.assert_close(view.camera.K, other.camera.K, rtol=0, atol=1e-3)
        assert view.camera.size == other.camera.size
        assert torch.equal(view.image, other.image)


def test_colmap_text_equals_binary(make_scene):
    binary, text = make_scene(5), make_scene(5)
    one, other = load_scene(binary.binary().root), load_scene(text.text().root)
    assert_same_cameras(one.train, other.train)
    assert np.array_equal(one.points, other.points) and one.points.dtype == np.float64
    assert np.array_equal(one.colors, other.colors) and one.colors.dtype == np.uint8


def test_colmap_values_are_those_written(make_scene):
    made = make_scene(4)
    scene = load_scene(made.binary().root)
    assert np.array_equal(scene.points, made.points) and np.array_equal(scene.colors, made.colors)
    for view, viewmat in zip(scene.train, made.viewmats):
        np.testing.assert_allclose(view.camera.viewmat.numpy(), viewmat, atol=1e-6)
        np.testing.assert_allclose(view.camera.center.numpy(), np.linalg.inv(viewmat)[:3, 3], atol=1e-6)
        K = view.camera.K.numpy()
        assert (K[0, 0], K[1, 1], K[0, 2], K[1, 2]) == made.params      # principal point kept


@pytest.mark.parametrize("model, params, K", [
    ((0, "SIMPLE_PINHOLE"), (40.0, 15.0, 13.0), (40, 40, 15, 13)),
    ((2, "SIMPLE_RADIAL"), (40.0, 15.0, 13.0, 0.0), (40, 40, 15, 13)),
    ((4, "OPENCV"), (40.0, 41.0, 15.0, 13.0, 0.0, 0.0, 0.0, 0.0), (40, 41, 15, 13)),
])
@pytest.mark.parametrize("write", ["binary", "text"])
def test_camera_models_without_distortion(make_scene, model, params, K, write):
    made = make_scene(model=model, params=params)
    read = load_scene(getattr(made, write)().root).train[0].camera.K
    assert (read[0, 0], read[1, 1], read[0, 2], read[1, 2]) == K


def test_transforms_equal_colmap(make_scene):
    colmap, transforms = make_scene(5), make_scene(5)
    assert_same_cameras(load_scene(colmap.binary().root).train, load_scene(transforms.transforms().root).train)


def test_camera_set_equals_colmap(make_scene):
    colmap, cameras = make_scene(5), make_scene(5)
    one, other = load_scene(colmap.binary().root), load_scene(cameras.camera_set(cloud=colmap.points).root)
    assert_same_cameras(one.train, other.train)
    assert np.array_equal(one.points, other.points)


def test_sample_scene_colmap_equals_transforms(suzanne):
    colmap = read_colmap(suzanne)
    transforms = read_transforms(suzanne)
    assert colmap.held_out == transforms.held_out and len(colmap.held_out) == 8
    for one, other in zip(colmap.images, transforms.images, strict=True):
        assert (one.name, one.path, one.mask) == (other.name, other.path, other.mask)
        np.testing.assert_allclose(one.viewmat, other.viewmat, atol=1e-6)
        np.testing.assert_allclose(one.K, other.K, atol=1e-6)


def test_sample_scene_loads(suzanne):
    scene = load_scene(suzanne)
    assert (len(scene.train), len(scene.test), scene.points.shape) == (40, 8, (5000, 3))
    assert scene.name == "suzanne" and scene.extent == pytest.approx(5.729, abs=1e-3)
    assert [view.uid for view in scene.train] == list(range(40))
    view = scene.test[3]
    assert view.camera.name == "test_003.jpg" and view.image.shape == (400, 400, 3) and view.mask.shape == (400, 400)
    # the points are seen where they are: inside the mask
    points = torch.from_numpy(scene.points).float() @ view.camera.viewmat[:3, :3].T + view.camera.viewmat[:3, 3]
    pixels = points @ view.camera.K.T
    column, row = (pixels[:, :2] / pixels[:, 2:]).floor().long().T
    assert (view.mask[row.clamp(0, 399), column.clamp(0, 399)] > 0).float().mean() > 0.99


def test_reading_writes_nothing_into_the_scene(make_scene):
    root = make_scene(3).binary().root
    before = sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))
    load_scene(root)
    assert sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*")) == before


def test_names_keep_their_sub_folders_and_are_sorted(make_scene):
    names = ["b/1.png", "a/1.png", "a.x.png", "a/1.jpg"]
    scene = load_scene(make_scene(names).binary().root)
    assert [view.camera.name for view in scene.train] == ["a.x.png", "a/1.jpg", "a/1.png", "b/1.png"]


def test_largest_sub_model_is_taken(make_scene):
    made = make_scene(6)
    small = make_scene(made.names[:2])
    shutil.copytree(small.binary().root / "sparse/0", made.root / "sparse/0")
    made.binary("sparse/1")
    assert find_model(made.root) == made.root / "sparse/1"
    scene = load_scene(made.root)
    assert len(scene.train) == 6
    (note,) = scene.notes
    assert "sparse/1 with 6 images" in note and "sparse/0 (2)" in note


def test_model_directly_in_sparse(make_scene):
    assert len(load_scene(make_scene(4).text("sparse").root).train) == 4


def test_intrinsics_of_larger_photos_are_scaled(make_scene):
    made = make_scene(3).binary()
    made.size = (64, 48)
    made.photos("images_big")
    view = load_scene(made.root, DataConfig(images="images_big")).train[0]
    assert view.camera.size == (48, 64)
    np.testing.assert_allclose(view.camera.K.diagonal()[:2], (80, 82))
    np.testing.assert_allclose(view.camera.K[:2, 2], (30, 26))


@pytest.mark.parametrize("suffix", [".png", ".JPG"])
def test_transforms_find_files_without_suffix(make_scene, suffix):
    made = make_scene([f"r_{i}{suffix}" for i in range(3)])
    made.transforms()
    path = made.root / "transforms.json"
    path.write_text(path.read_text().replace(suffix + '"', '"'))
    assert [view.camera.name for view in load_scene(made.root).train] == made.names


def test_transforms_camera_angle_and_frame_intrinsics(make_scene):
    made = make_scene(3)
    made.transforms(fl_x=None, fl_y=None, cx=None, cy=None, w=None, h=None, camera_angle_x=2 * np.arctan(16 / 40))
    document = json.loads((made.root / "transforms.json").read_text())
    document["frames"][1] |= {"fl_x": 50.0, "cx": 17.0}
    (made.root / "transforms.json").write_text(json.dumps(document))
    one, other = (view.camera.K for view in load_scene(made.root).train[:2])
    np.testing.assert_allclose(one, [[40, 0, 16], [0, 40, 12], [0, 0, 1]], rtol=1e-6)
    np.testing.assert_allclose(other, [[50, 0, 17], [0, 50, 12], [0, 0, 1]], rtol=1e-6)


def test_transforms_points_from_ply(make_scene):
    made = make_scene(3).transforms(ply_file_path="cloud.ply")
    write_mesh(made.root / "cloud.ply", made.points, np.zeros((0, 3), int), made.colors)
    scene = load_scene(made.root)
    assert np.array_equal(scene.points, made.points) and np.array_equal(scene.colors, made.colors)


def test_random_points_surround_what_the_cameras_look_at(make_scene, suzanne):
    scene = load_scene(make_scene(8).camera_set().root)
    again = load_scene(make_scene(8).camera_set().root)
    assert np.array_equal(scene.points, again.points) and len(scene.points) == 10_000
    images = read_transforms(suzanne).images
    points, _ = random_points(images)
    low, high = points.min(0), points.max(0)
    assert (low < [-1.3, -1.3, 0.2]).all() and (high > [1.3, 1.3, 1.2]).all() and np.abs(points).max() < 3


def test_closest_point_to_axes():
    rng = np.random.default_rng(0)
    target = np.array([1.0, -2.0, 3.0])
    centers = rng.normal(size=(10, 3)) * 4
    axes = (target - centers) / np.linalg.norm(target - centers, axis=1, keepdims=True)
    np.testing.assert_allclose(closest_to_axes(centers, axes), target, atol=1e-9)
    parallel = closest_to_axes(np.array([[0.0, 0, 0], [2.0, 0, 0]]), np.array([[0.0, 0, 1], [0, 0, 1]]))
    np.testing.assert_allclose(parallel, [1, 0, 2])


def test_camera_set_of_linked_files(make_scene, tmp_path):
    """A service may link photos from a store instead of copying them."""
    made = make_scene(3).camera_set()
    for name in made.names:
        path = made.root / "images" / name
        path.rename(tmp_path / name)
        path.symlink_to(tmp_path / name)
    assert len(load_scene(made.root).train) == 3
