# SPDX-License-Identifier: Apache-2.0
"""Every bad scene is refused at the door, with what, where and what to do."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from milo.backend.config import DataConfig
from milo.backend.data.errors import CameraModelError, ImageError, PointsError, PoseError, SceneError
from milo.backend.data.scene import load_scene


def refused(root, kind, words, **config):
    """The error's message; it names a path below root, says `words` and ends with advice."""
    with pytest.raises(kind, match=words) as caught:
        load_scene(root, DataConfig(**config))
    error = caught.value
    assert error.where.startswith(str(root)) and error.hint and str(error).endswith(f"{error.hint}.")
    assert "\n" not in str(error)
    return str(error)


def test_missing_folder(tmp_path):
    refused(tmp_path / "nowhere", SceneError, "no such folder")


def test_empty_folder(tmp_path):
    refused(tmp_path, SceneError, "folder is empty")


def test_no_cameras(make_scene):
    refused(make_scene().root, SceneError, "no cameras are in it")


def test_empty_sparse(make_scene):
    made = make_scene()
    (made.root / "sparse").mkdir()
    refused(made.root, SceneError, "no COLMAP model")


def test_no_images(make_scene):
    made = make_scene(3).binary()
    for path in (made.root / "images").iterdir():
        path.unlink()
    refused(made.root, ImageError, "3 of 3 images of the COLMAP model are missing: photo_00.png")


def test_missing_images_are_listed(make_scene):
    made = make_scene(12).binary()
    for name in made.names[3:10]:
        (made.root / "images" / name).unlink()
    message = refused(made.root, ImageError, "7 of 12 images")
    assert "photo_03.png" in message and "and 2 more" in message


def test_missing_images_of_transforms(make_scene):
    made = make_scene(3).transforms()
    (made.root / "images" / made.names[1]).unlink()
    refused(made.root, ImageError, "1 of 3 images are missing: images/photo_01.png")


def test_truncated_jpeg(make_scene):
    made = make_scene(["a.jpg", "b.jpg", "c.jpg"], size=(200, 150)).binary()
    path = made.root / "images" / "b.jpg"
    path.write_bytes(path.read_bytes()[:2000])
    assert "b.jpg" in refused(made.root, ImageError, "image is damaged")


@pytest.mark.parametrize("content", [b"", b"this is not a picture", b"\xff\xd8\xff\xe0"])
def test_unreadable_image(make_scene, content):
    made = make_scene(3).binary()
    (made.root / "images" / made.names[2]).write_bytes(content)
    refused(made.root, ImageError, "not a readable image")


def test_truncated_png(make_scene):
    made = make_scene(3).binary()
    path = made.root / "images" / made.names[0]
    path.write_bytes(path.read_bytes()[:500])
    refused(made.root, ImageError, "damaged")


def test_photo_of_another_shape(make_scene):
    made = make_scene(3).binary()
    Image.new("RGB", (24, 32)).save(made.root / "images" / made.names[1])
    refused(made.root, ImageError, "the photo is 24 x 32 but its camera 32 x 24")


def test_mask_of_another_size_and_missing_masks(make_scene):
    made = make_scene(2).binary()
    (made.root / "masks").mkdir()
    Image.new("L", (32, 24)).save(made.root / "masks" / made.names[0])
    refused(made.root, ImageError, "1 of 2 images have no mask: photo_01.png")
    Image.new("L", (16, 12)).save(made.root / "masks" / made.names[1])
    refused(made.root, ImageError, "the mask is 16 x 12")


@pytest.mark.parametrize("model, params", [
    ((2, "SIMPLE_RADIAL"), (40.0, 15.0, 13.0, 0.01)),
    ((4, "OPENCV"), (40.0, 41.0, 15.0, 13.0, 0.0, 0.0, 0.0, 1e-4)),
    ((5, "OPENCV_FISHEYE"), (40.0, 41.0, 15.0, 13.0, 0.0, 0.0, 0.0, 0.0)),   # without distortion still no pinhole
])
@pytest.mark.parametrize("write", ["binary", "text"])
def test_distorted_camera(make_scene, model, params, write):
    made = getattr(make_scene(model=model, params=params), write)()
    message = refused(made.root, CameraModelError, rf"camera 1 is {model[1]} \(lens distortion\)")
    assert "undistort" in message


def test_unknown_camera_model(make_scene):
    refused(make_scene(model=(77, "X")).binary().root, CameraModelError, "unknown model 77")
    refused(make_scene(model=(77, "X")).text().root, CameraModelError, "unknown model X")


def test_distorted_transforms(make_scene):
    refused(make_scene().transforms(k1=0.1).root, CameraModelError, "lens distortion")
    refused(make_scene().transforms(camera_model="OPENCV_FISHEYE").root, CameraModelError, "lens distortion")


@pytest.mark.parametrize("write", ["binary", "text", "transforms", "camera_set"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pose_that_is_not_finite(make_scene, write, value):
    made = make_scene(3)
    made.viewmats[1][0, 3] = value
    if write == "transforms":      # inverting NaN would spread it; one entry is enough
        made.viewmats[1][0, 3] = 0
        made.transforms()
        document = json.loads((made.root / "transforms.json").read_text())
        document["frames"][1]["transform_matrix"][0][3] = value
        (made.root / "transforms.json").write_text(json.dumps(document))
    else:
        getattr(made, write)()
    refused(made.root, PoseError, "not finite")


def test_pose_that_is_not_rigid(make_scene):
    made = make_scene(3)
    made.viewmats[2] = np.diag([1.0, 1.0, 2.0, 1.0])
    refused(made.camera_set().root, PoseError, "not a rotation and a translation")
    made.viewmats[2] = np.diag([-1.0, 1.0, 1.0, 1.0])
    refused(made.camera_set().root, PoseError, "not a rotation and a translation")


@pytest.mark.parametrize("write", ["binary", "text"])
def test_zero_points(make_scene, write):
    made = getattr(make_scene(points=np.zeros((0, 3)), colors=np.zeros((0, 3), np.uint8)), write)()
    refused(made.root, PointsError, "zero points")


def test_points_that_are_not_finite(make_scene):
    made = make_scene()
    made.points[4, 1] = np.nan
    refused(made.binary().root, PointsError, "1 of 30 points are not finite")


def test_missing_points(make_scene):
    made = make_scene().binary()
    (made.root / "sparse/0/points3D.bin").unlink()
    refused(made.root, PointsError, "points3D.bin")


@pytest.mark.parametrize("file", ["cameras.bin", "images.bin", "points3D.bin"])
def test_truncated_model(make_scene, file):
    made = make_scene(6).binary()
    path = made.root / "sparse/0" / file
    data = path.read_bytes()
    for size in (4, 20, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        refused(made.root, SceneError, "truncated or damaged|no registered images")


def test_damaged_text_model(make_scene):
    made = make_scene(3).text()
    path = made.root / "sparse/0/points3D.txt"
    path.write_text(path.read_text() + "1 two 3\n")
    refused(made.root, SceneError, "cannot be read")


def test_one_photo(make_scene):
    refused(make_scene(1).binary().root, SceneError, "1 training images; a reconstruction needs at least 2")


def test_all_cameras_in_one_place(make_scene):
    made = make_scene(3)
    made.viewmats = [made.viewmats[0]] * 3
    refused(made.binary().root, PoseError, "same place")


def test_unknown_test_view(make_scene):
    made = make_scene(9).binary()
    (made.root / "test.txt").write_text("nobody.png\n")
    refused(made.root, SceneError, "images that the scene does not have: nobody.png")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"frames": 3}', '{"frames": [{}]}', '{"frames": []}'])
def test_bad_transforms(make_scene, text):
    made = make_scene()
    (made.root / "transforms.json").write_text(text)
    refused(made.root, SceneError, "JSON|frames|file_path")


def test_transforms_without_focal_length(make_scene):
    refused(make_scene().transforms(fl_x=None).root, SceneError, "lacks 'camera_angle_x'")


@pytest.mark.parametrize("values, words", [
    ({"format": 2}, "format 1"),
    ({"cameras": []}, "no cameras"),
    ({"cameras": [{"name": "x"}]}, "incomplete"),
    ({"points": "../points.npy"}, "leads out of the scene"),
    ({"points": "missing.npy"}, "cannot be read"),
])
def test_bad_camera_set(make_scene, values, words):
    refused(make_scene().camera_set(**values).root, SceneError, words)


def test_camera_set_points_of_a_wrong_shape(make_scene):
    refused(make_scene().camera_set(cloud=np.zeros((4, 2))).root, PointsError, "not \\[P, 3\\]")
    refused(make_scene().camera_set(cloud=np.zeros((0, 3))).root, PointsError, "zero points")
