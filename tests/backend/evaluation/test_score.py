# SPDX-License-Identifier: Apache-2.0
"""The score of known meshes against known surfaces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from milo.backend.data.errors import SceneError
from milo.backend.data.ply import read_mesh, write_mesh
from milo.backend.evaluation.score import distance_to_surface, point_triangle_distance, sample_surface, score_mesh

SUZANNE = Path(__file__).resolve().parents[3] / "examples" / "suzanne"
SAMPLES = 4000


def square(height: float, side: float = 1.0):
    """Two triangles at z = height."""
    verts = np.array([[0, 0, height], [side, 0, height], [side, side, height], [0, side, height]])
    return verts, np.array([[0, 1, 2], [0, 2, 3]])


@pytest.fixture
def flat_scene(tmp_path):
    """A unit square as ground truth, all of it visible, diagonal 1."""
    write_mesh(tmp_path / "gt_mesh.ply", *square(0.0))
    points = np.random.default_rng(5).random((3000, 3)) * [1, 1, 0]
    np.savez(tmp_path / "gt_visible.npz", points=points.astype(np.float32), diagonal=np.float32(1),
             box=np.array([[-1, -1, -1], [2, 2, 2]], np.float32))
    return tmp_path


def score_of(scene, verts, faces):
    write_mesh(scene / "mesh.ply", verts, faces)
    return score_mesh(scene / "mesh.ply", scene, SAMPLES)


def test_the_surface_itself_is_perfect(flat_scene):
    """But for points beside an edge whose nearest samples all lie on the other triangle."""
    result = score_of(flat_scene, *square(0.0))
    assert result["chamfer"] < 1e-5 and result["tau 0.01"]["fscore"] == 1
    assert all(result[f"tau {tau}"]["fscore"] > 0.999 for tau in (0.0025, 0.001))


def test_a_shifted_surface_is_as_far_as_its_shift(flat_scene):
    result = score_of(flat_scene, *square(0.002))
    assert result["chamfer"] == pytest.approx(0.002, rel=1e-2)
    assert result["tau 0.0025"]["fscore"] > 0.999 and result["tau 0.001"]["fscore"] == 0


def test_half_a_surface_has_half_the_recall(flat_scene):
    verts, faces = square(0.0)
    result = score_of(flat_scene, verts * [0.5, 1, 1], faces)["tau 0.001"]
    precision, recall = result["precision"], result["recall"]
    assert precision > 0.998 and recall == pytest.approx(0.5, abs=0.03)
    assert result["fscore"] == pytest.approx(2 * precision * recall / (precision + recall))


def test_surplus_surface_costs_precision_but_not_outside_the_box(flat_scene):
    verts, faces = square(0.0)
    above, far = square(1.0)[0], square(0.0)[0] + [50, 0, 0]
    result = score_of(flat_scene, np.vstack([verts, above, far]), np.vstack([faces, faces + 4, faces + 8]))["tau 0.01"]
    assert result["precision"] == pytest.approx(0.5, abs=0.03) and result["recall"] == 1


def test_nothing_scores_nothing(flat_scene):
    result = score_of(flat_scene, np.zeros((0, 3)), np.zeros((0, 3), int))
    assert result["chamfer"] == pytest.approx(0.1) and result["tau 0.01"]["fscore"] == 0


def test_sample_scene_known_numbers():
    """Figures of tools/score_mesh.py with the same seed, and a mesh pushed out along its normals."""
    result = score_mesh(SUZANNE / "gt_mesh.ply", SUZANNE, 5000)
    assert result["chamfer"] == pytest.approx(0.0005596658434576079, rel=1e-9)
    assert result["tau 0.01"]["fscore"] == 1
    assert result["tau 0.0025"]["fscore"] == pytest.approx(0.9171627246134558, rel=1e-9)
    assert result["tau 0.001"]["fscore"] == pytest.approx(0.8008508138447148, rel=1e-9)
    assert (result["vertices"], result["faces"]) == (10360, 20544)


def test_seed_decides(flat_scene):
    verts, faces = square(0.001)
    verts[1, 2] = 0.02
    write_mesh(flat_scene / "mesh.ply", verts, faces)
    one, same, other = (score_mesh(flat_scene / "mesh.ply", flat_scene, 500, seed) for seed in (1, 1, 2))
    assert one == same and one != other


def test_point_triangle_distance_against_dense_sampling():
    rng = np.random.default_rng(0)
    triangles, points = rng.normal(size=(40, 3, 3)), rng.normal(size=(40, 3)) * 2
    weights = rng.dirichlet((0.6, 0.6, 0.6), 40_000)
    distance = point_triangle_distance(points, triangles)
    dense = np.array([np.linalg.norm(weights @ triangle - point, axis=1).min()
                      for triangle, point in zip(triangles, points)])
    assert (distance <= dense + 1e-12).all() and (dense - distance).max() < 0.03
    degenerate = np.repeat(triangles[:, :1], 3, axis=1)
    np.testing.assert_allclose(point_triangle_distance(points, degenerate),
                               np.linalg.norm(points - triangles[:, 0], axis=1))


def test_distance_to_a_sampled_surface_is_exact_on_large_triangles():
    verts, faces = square(0.0, side=100.0)
    surface = sample_surface(verts, faces, 200, np.random.default_rng(0))
    points = np.random.default_rng(1).random((50, 3)) * [100, 100, 3]
    np.testing.assert_allclose(distance_to_surface(points, *surface), points[:, 2], atol=1e-9)


def test_samples_are_uniform_by_area():
    verts = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [10, 0, 0], [13, 0, 0], [10, 3, 0]], float)
    points, triangles = sample_surface(verts, np.array([[0, 1, 2], [3, 4, 5]]), 20_000, np.random.default_rng(0))
    assert (points[:, 0] > 5).mean() == pytest.approx(0.9, abs=0.01)
    assert (point_triangle_distance(points, triangles) < 1e-12).all()
    np.testing.assert_allclose(points[points[:, 0] < 5].mean(0), [1 / 3, 1 / 3, 0], atol=0.02)


def test_missing_ground_truth_and_mesh(tmp_path, flat_scene):
    verts, _, _ = read_mesh(flat_scene / "gt_mesh.ply")
    assert len(verts) == 4
    with pytest.raises(SceneError, match="no such file"):
        score_mesh(flat_scene / "none.ply", flat_scene)
    (flat_scene / "gt_visible.npz").unlink()
    with pytest.raises(SceneError, match="scene with ground truth"):
        score_mesh(flat_scene / "gt_mesh.ply", flat_scene)
