# SPDX-License-Identifier: Apache-2.0
"""DTU's protocol on a made scan (spec extraction 4.2, acceptance 9)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from scipy.spatial import cKDTree

from milo.backend.data.cameras import Camera
from milo.backend.data.errors import SceneError
from milo.backend.data.export import export_colmap
from milo.backend.data.ply import read_mesh, write_mesh
from milo.backend.data.posed import PosedImage, PosedImages
from milo.backend.data.scene import View
from milo.backend.evaluation.dtu import alignment, chamfer, cull, surface_points, thinned, true_centers
from milo.backend.evaluation.point_alignment import moved
from milo.backend.evaluation.protocols import dtu


def ball(radius=8.0, rings=60):
    """A sphere in mm: verts, faces."""
    theta, phi = np.meshgrid(np.linspace(0.01, math.pi - 0.01, rings), np.linspace(0, 2 * math.pi, 2 * rings),
                             indexing="ij")
    verts = radius * np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    corner = (np.arange(rings - 1)[:, None] * 2 * rings + np.arange(2 * rings - 1)).reshape(-1)
    faces = np.concatenate([np.stack([corner, corner + 2 * rings, corner + 1], 1),
                            np.stack([corner + 1, corner + 2 * rings, corner + 2 * rings + 1], 1)])
    return verts.reshape(-1, 3), faces


@pytest.fixture
def data(tmp_path):
    """Scan 7: the upper half of a ball, above the plane z = 0, in a box that was observed everywhere."""
    (tmp_path / "ObsMask").mkdir()
    (tmp_path / "Points" / "stl").mkdir(parents=True)
    (tmp_path / "Calibration" / "cal18").mkdir(parents=True)
    box = np.array([[-10.0, -10, -10], [10, 10, 10]])
    observed = np.ones((21, 21, 21), np.uint8)
    savemat(tmp_path / "ObsMask" / "ObsMask7_10.mat", {"ObsMask": observed, "BB": box, "Res": 1.0})
    savemat(tmp_path / "ObsMask" / "Plane7.mat", {"P": np.array([[0.0], [0], [1], [0]])})
    truth = surface_points(*ball(), 0.08)
    write_mesh(tmp_path / "Points" / "stl" / "stl007_total.ply", truth, np.zeros((0, 3), np.int32))
    rng = np.random.default_rng(0)
    for i in range(1, 5):
        pose = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        center = rng.normal(size=3) * 100
        np.savetxt(tmp_path / "Calibration" / "cal18" / f"pos_{i:03}.txt",
                   np.diag([900, 900, 1.0]) @ np.c_[pose, -pose @ center])
        np.savetxt(tmp_path / f"center{i}.txt", center)
    return tmp_path


def test_the_scan_against_itself(data):
    report = chamfer(*ball(), data, 7)
    assert report["overall"] < 0.1 and report["mean_d2s"] < 0.1 and report["mean_s2d"] < 0.15
    assert chamfer(*ball(), data, 7) == report                      # the shuffle is seeded
    assert chamfer(*ball(), data, 7, seed=1)["overall"] == pytest.approx(report["overall"], abs=2e-3)


def test_a_known_distance(data):
    larger = chamfer(*ball(9.0), data, 7)
    assert larger["mean_d2s"] == pytest.approx(1, abs=0.05) and larger["mean_s2d"] == pytest.approx(1, abs=0.05)
    verts, faces = ball()
    upper = faces[verts[faces][:, :, 2].min(axis=1) > 0]
    assert chamfer(verts, upper, data, 7)["mean_s2d"] < 0.15        # below the plane nothing is asked for


def test_nothing_there(data):
    verts, faces = ball()
    with pytest.raises(SceneError, match="was observed"):
        chamfer(verts + 500, faces, data, 7)
    with pytest.raises(SceneError, match="ObsMask8"):
        chamfer(verts, faces, data, 8)


def test_thinning_keeps_a_distance_and_leaves_no_gap():
    points = np.random.default_rng(0).random((4000, 3))
    kept = thinned(points, 0.1, 0)
    tree = cKDTree(kept)
    assert len(tree.query_pairs(0.1 * (1 - 1e-9))) == 0 and tree.query(points)[0].max() <= 0.1
    assert 200 < len(kept) < 1500


def test_surface_points_lie_in_their_triangles():
    verts = np.array([[0.0, 0, 0], [2, 0, 0], [0, 1, 0], [5, 5, 5], [5.01, 5, 5], [5, 5.01, 5]])
    points = surface_points(verts, np.array([[0, 1, 2], [3, 4, 5], [0, 0, 1]]), 0.1)
    assert (points[:, 0] / 2 + points[:, 1] < 1).all() and (points[:, 2] == 0).all() and (points[:, :2] > 0).all()
    assert len(points) == pytest.approx(100, rel=0.15)              # of area 1; the tiny triangle has none


def test_alignment_of_cameras(data):
    theirs = true_centers(data, 4)
    assert np.allclose(theirs, [np.loadtxt(data / f"center{i}.txt") for i in range(1, 5)])
    ours = (theirs - 7) @ np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]) / 250
    matrix = alignment(ours, theirs)
    assert np.allclose(ours @ matrix[:3, :3].T + matrix[:3, 3], theirs)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(250**3)
    with pytest.raises(SceneError, match="pos_005"):
        true_centers(data, 5)


def test_culling_by_masks():
    """A face goes if some view sees one of its vertices outside its object, further than six pixels."""
    mask = torch.zeros(60, 60, dtype=torch.uint8)
    mask[20:40, 20:40] = 255
    camera = Camera(torch.eye(4), torch.tensor([[60.0, 0, 30], [0, 60, 30], [0, 0, 1]]), 60, 60, "a.png")
    view = View(camera, 0, torch.zeros(60, 60, 3, dtype=torch.uint8), mask)
    columns = {"middle": 30, "margin": 44, "beyond": 48, "outside": 75}
    verts = np.array([[(u - 30) / 60, 0, 1] for u in columns.values()])
    faces = np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3], [0, 1, 2]])
    assert cull(verts, faces, [view]).tolist() == [True, True, False, True, False]
    with pytest.raises(SceneError, match="has no mask"):
        cull(verts, faces, [View(camera, 0, view.image)])


def test_from_files_to_a_report(data, tmp_path):
    """A ball in a frame of its own, with masks and cameras: culled, aligned, measured, and written down."""
    theirs = true_centers(data, 4)
    frame = np.eye(4)
    frame[:3, :3], frame[:3, 3] = np.diag([0.05, 0.05, 0.05]) @ np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), [1, 2, 3]
    scene = tmp_path / "scan7"
    poses = []
    for index, center in enumerate(moved(theirs, frame)):
        path = scene / "images" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((40, 40, 4), 255, np.uint8)).save(path)     # all of it is the object
        viewmat = np.eye(4)
        viewmat[:3, 3] = -center
        K = np.array([[40.0, 0, 20], [0, 40, 20], [0, 0, 1]])
        poses.append(PosedImage(path.name, path, viewmat, K, 40, 40))
    export_colmap(PosedImages(poses, theirs, np.zeros((4, 3), np.uint8), scene), tmp_path / "out" / "scan7")
    verts, faces = ball()
    write_mesh(tmp_path / "mesh.ply", moved(verts, frame), faces)
    report = dtu(tmp_path / "mesh.ply", data, tmp_path / "out" / "scan7")
    assert report["scan"] == 7 and report["overall"] < 0.1
    names = sorted(path.name for path in (tmp_path / "evaluation").iterdir())
    assert names == ["accuracy.ply", "aligned.ply", "completeness.ply", "results.json"]
    assert np.abs(read_mesh(tmp_path / "evaluation" / "aligned.ply")[0].max(axis=0) - 8).max() < 0.05
