# SPDX-License-Identifier: Apache-2.0
"""The protocol of Tanks and Temples on made data with known answers (spec extraction 4.1, acceptance 8)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from milo.backend.data.errors import SceneError
from milo.backend.data.ply import read_points, write_mesh
from milo.backend.evaluation.curve_plot import PRECISION, RECALL, plot_curves
from milo.backend.evaluation.point_alignment import icp, moved, ransac_similarity, similarity, voxel_downsample
from milo.backend.evaluation.protocols import tanks_and_temples
from milo.backend.evaluation.tanks_and_temples import evaluate, read_crop, read_trajectory, write_trajectory

TAU = 0.02


def rotation(axis, angle):
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def a_similarity(scale=1.7, angle=0.8):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = scale * rotation([1, 2, 3], angle), [3, -2, 1]
    return matrix


def wavy_plane(n=60, size=1.0):
    """A surface with relief, so that its place is determined: verts [n^2, 3] and faces."""
    x, y = np.meshgrid(np.linspace(-size, size, n), np.linspace(-size, size, n), indexing="ij")
    verts = np.stack([x, y, 0.2 * np.sin(3 * x) * np.cos(2 * y) + 0.1 * x], axis=-1).reshape(-1, 3)
    corner = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).reshape(-1)
    return verts, np.concatenate([np.stack([corner, corner + n, corner + 1], 1),
                                  np.stack([corner + 1, corner + n, corner + n + 1], 1)])


@pytest.fixture
def dataset(tmp_path):
    """A scene whose laser points are a wavy plane's vertices and barycentres, with twelve cameras above it."""
    folder = tmp_path / "Plane"
    folder.mkdir()
    verts, faces = wavy_plane()
    points = np.concatenate([verts, verts[faces].mean(axis=1)])
    write_mesh(folder / "Plane.ply", points, np.zeros((0, 3), np.int32))
    box = [[-2, -2, 0], [2, -2, 0], [2, 2, 0], [-2, 2, 0]]
    (folder / "Plane.json").write_text(json.dumps({"class_name": "SelectionPolygonVolume", "orthogonal_axis": "Z",
                                                   "axis_min": -1, "axis_max": 1, "bounding_polygon": box}))
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (12, 1, 1))
    poses[:, :3, 3] = rng.uniform((-2, -2, 1), (2, 2, 5), (12, 3))
    trans = a_similarity(0.5, 0.3)
    log_poses = poses.copy()
    log_poses[:, :3, 3] = moved(poses[:, :3, 3], np.linalg.inv(trans))
    np.savetxt(folder / "Plane_trans.txt", trans)
    write_trajectory(folder / "Plane_COLMAP_SfM.log", np.linalg.inv(log_poses))
    return folder, verts, faces, poses


def run(dataset, offset=(0, 0, 0), frame=None, tau=TAU, **options):
    folder, verts, faces, poses = dataset
    frame = np.eye(4) if frame is None else frame
    path = folder / "mesh.ply"
    write_mesh(path, moved(verts + offset, frame), faces)
    ours = poses.copy()
    ours[:, :3, 3] = moved(poses[:, :3, 3], frame)
    return evaluate(path, folder, ours, tau, **options)


def test_the_truth_against_itself(dataset):
    clouds = dataset[0] / "clouds"
    clouds.mkdir()
    report = run(dataset, clouds=clouds)
    points, colors = read_points(clouds / "precision.ply")
    assert len(points) == report["legacy"]["points"] and (colors == colors[0]).all() and colors[0, 2] > 150   # blue
    assert report["legacy"]["fscore"] == 1 and report["uniform"]["fscore"] > 0.95 and report["scene"] == "Plane"
    assert np.allclose(report["transform"], np.eye(4), atol=1e-4)
    assert report["curve"]["precision"][-1] == 1 and len(report["curve"]["distances"]) == 500


def test_a_similarity_is_undone(dataset):
    """The mesh and its cameras in another frame, of another scale: the alignment finds the way back."""
    frame = a_similarity()
    report = run(dataset, frame=frame)
    assert report["legacy"]["fscore"] > 0.999
    assert np.allclose(np.array(report["transform"]) @ frame, np.eye(4), atol=1e-3)


def test_an_offset_brackets_the_threshold(dataset, monkeypatch):
    """Half of tau off is right, two tau off is wrong (without ICP, which would undo it)."""
    from milo.backend.evaluation import tanks_and_temples

    monkeypatch.setattr(tanks_and_temples, "icp", lambda source, target, distance: np.eye(4))
    assert run(dataset, (0, 0, TAU / 2))["legacy"]["fscore"] > 0.999
    assert run(dataset, (0, 0, 2 * TAU))["legacy"]["fscore"] < 0.1


def test_half_a_mesh_is_precise_but_incomplete(dataset):
    folder, verts, faces, poses = dataset
    faces = faces[verts[faces][:, :, 0].max(axis=1) < 0]
    report = run((folder, verts, faces, poses))
    assert report["legacy"]["precision"] > 0.99 and report["legacy"]["recall"] == pytest.approx(0.5, abs=0.03)


def test_a_wrong_trajectory_is_said(dataset):
    folder, verts, faces, poses = dataset
    with pytest.raises(SceneError, match="cameras fit those of the ground truth"):
        evaluate(_written(folder, verts, faces), folder, np.random.default_rng(1).permutation(poses), TAU)
    with pytest.raises(SceneError, match="12 cameras, but the reconstruction 11"):
        evaluate(_written(folder, verts, faces), folder, poses[:11], TAU)
    with pytest.raises(SceneError, match="--tau"):
        evaluate(_written(folder, verts, faces), folder, poses)
    (folder / "Plane.json").write_text("{}")
    with pytest.raises(SceneError, match="not a crop volume"):
        evaluate(_written(folder, verts, faces), folder, poses, TAU)


def _written(folder, verts, faces):
    write_mesh(folder / "mesh.ply", verts, faces)
    return folder / "mesh.ply"


def test_crop_volume(tmp_path):
    """A polygon with a notch, swept along Y."""
    polygon = [[0, 0, 0], [4, 0, 0], [4, 0, 4], [2, 0, 1], [0, 0, 4]]
    path = tmp_path / "crop.json"
    path.write_text(json.dumps({"orthogonal_axis": "Y", "axis_min": 1, "axis_max": 2, "bounding_polygon": polygon}))
    points = np.array([[1, 1.5, 1], [2, 1.5, 3], [3.5, 1.5, 3], [1, 0.5, 1], [-1, 1.5, 1], [1, 2.5, 1]], float)
    assert read_crop(path).inside(points).tolist() == [True, False, True, False, False, False]


def test_trajectory_files(tmp_path):
    viewmats = np.linalg.inv(np.stack([a_similarity(1, 0.1 * i) for i in range(3)]))
    write_trajectory(tmp_path / "a.log", viewmats)
    assert np.allclose(read_trajectory(tmp_path / "a.log"), np.linalg.inv(viewmats))
    for key in ("camtoworld", "transform_matrix"):
        frames = [{"rgb_path": f"{i}.png", key: pose.tolist()} for i, pose in enumerate(np.linalg.inv(viewmats))]
        (tmp_path / "meta_data.json").write_text(json.dumps({"frames": frames, "height": 3}))
        assert np.allclose(read_trajectory(tmp_path / "meta_data.json"), np.linalg.inv(viewmats))
    (tmp_path / "b.log").write_text("1 2 3 4")
    (tmp_path / "flat.json").write_text(json.dumps({"frames": [{"camtoworld": [1, 2]}]}))
    for name in ("b.log", "flat.json"):
        with pytest.raises(SceneError, match="not a trajectory"):
            read_trajectory(tmp_path / name)
    for text in ("[]", '{"frames": [{}]}', '{"frames": 3}', "{"):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(SceneError, match="cannot be read"):
            read_trajectory(tmp_path / "c.json")


def test_closed_form_ransac_and_icp():
    rng = np.random.default_rng(2)
    source, matrix = rng.normal(size=(60, 3)), a_similarity()
    target = moved(source, matrix)
    assert np.allclose(similarity(source, target), matrix)
    wrong = target.copy()
    wrong[:20] += rng.normal(size=(20, 3)) * 5
    found, inliers = ransac_similarity(source, wrong, 0.01)
    assert np.allclose(found, matrix) and not inliers[:20].any() and inliers[20:].all()
    near = np.eye(4)
    near[:3, :3], near[:3, 3] = 1.02 * rotation([0, 1, 0], 0.03), [0.02, -0.01, 0.03]
    cloud = rng.uniform(-1, 1, (300, 3))
    assert np.abs(icp(moved(cloud, np.linalg.inv(near)), cloud, 0.5) - near).max() < 1e-9


def test_voxels():
    points = np.array([[0.0, 0, 0], [0.1, 0, 0], [1, 0, 0], [1, 0, 0.2]])
    down = voxel_downsample(points, 0.5)
    assert np.allclose(down[np.argsort(down[:, 0])], [[0.05, 0, 0], [1, 0, 0.1]])


def test_from_files_to_a_report_with_its_curves(dataset):
    """A plot of the right curves in the right places: precision is reached within half of tau, recall nowhere."""
    folder, verts, faces, poses = dataset
    mesh = _written(folder, verts, faces)
    np.save(folder / "poses.npy", poses)
    report = tanks_and_temples(mesh, folder, folder / "poses.npy", TAU)
    written = json.loads((folder / "evaluation" / "results.json").read_text())
    assert written == {"format": 1} | report and report["legacy"]["fscore"] == 1
    assert Image.open(folder / "evaluation" / "curves.png").size == (640, 480)

    curve = {"distances": [0.0, TAU / 2, 5 * TAU], "precision": [0, 1, 1], "recall": [0, 0, 0]}
    page = np.asarray(plot_curves("", TAU, curve)).astype(int)
    for color, row in ((PRECISION, 48), (RECALL, 480 - 56)):
        drawn = (np.abs(page - color).max(axis=2) < 60) & (np.arange(480) > 30)[:, None]
        rows, columns = drawn.nonzero()
        level = columns[np.abs(rows - row) <= 2]
        assert level.min() < 130 and level.max() >= 614 and len(np.unique(level)) > 450
    assert (page[240, 64 + 110 - 1:64 + 110 + 3].min(axis=1) < 160).any()       # the threshold, a fifth of the way
