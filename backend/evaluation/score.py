# SPDX-License-Identifier: Apache-2.0
"""Score of a mesh against a scene's exact ground truth.

The scene's folder holds gt_mesh.ply (the exact surface, world units) and gt_visible.npz: `points` (n, 3), surface
points seen by at least three training cameras; `box` (2, 3), the corners of the region that counts; `diagonal`, the
length of the ground truth's box diagonal. All distances are divided by that diagonal.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from milo.backend.data.errors import SceneError
from milo.backend.data.ply import read_mesh

TAUS = (0.01, 0.0025, 0.001)
CHAMFER_CLIP = 0.1


def has_ground_truth(scene_dir: str | Path) -> bool:
    """True if the folder holds what `score_mesh` needs."""
    return all((Path(scene_dir) / name).is_file() for name in ("gt_mesh.ply", "gt_visible.npz"))


def score_mesh(mesh_path: str | Path, scene_dir: str | Path, samples: int = 200_000, seed: int = 0) -> dict:
    """`score_surface` of a PLY of triangles, with its path as "mesh"."""
    return {"mesh": str(mesh_path)} | score_surface(*_surface(mesh_path), scene_dir, samples, seed)


def score_surface(verts: np.ndarray, faces: np.ndarray, scene_dir: str | Path, samples: int = 200_000,
                  seed: int = 0) -> dict:
    """Precision, recall and F-score at tau = 0.01, 0.0025 and 0.001, and the Chamfer distance.

    Args:
        verts: [V, 3], world units.
        faces: [F, 3] integer.
        scene_dir: folder with the ground truth.
        samples: points drawn on the mesh; four times as many stand for each surface.
        seed: of the draws; the same seed gives the same numbers.

    Returns:
        {"vertices", "faces", "chamfer", "tau 0.01": {"precision", "recall", "fscore"}, ...}.
        Precision: share of points on the mesh (inside the box) within tau of the true surface. Recall: share of visible
        true points within tau of the mesh. Chamfer: half the sum of both mean distances, each distance clipped at 0.1.

    Raises:
        SceneError: the mesh or the ground truth is missing or cannot be read.
    """
    rng = np.random.default_rng(seed)
    scene_dir = Path(scene_dir)
    if not has_ground_truth(scene_dir):
        raise SceneError(scene_dir, "gt_mesh.ply and gt_visible.npz are not in it", "Give a scene with ground truth")
    with np.load(scene_dir / "gt_visible.npz", allow_pickle=False) as truth:
        diagonal, box, visible = float(truth["diagonal"]), truth["box"], truth["points"].astype(np.float64)
    verts, faces = np.asarray(verts, np.float64), np.asarray(faces, np.int64)
    ours, _ = sample_surface(verts, faces, samples, rng, box)
    to_truth, to_ours = np.full(1, np.inf), np.full(1, np.inf)
    if len(ours):
        true_surface = sample_surface(*_surface(scene_dir / "gt_mesh.ply"), 4 * samples, rng)
        margin = 0.02 * diagonal
        our_surface = sample_surface(verts, faces, 4 * samples, rng, box + np.array([[-margin], [margin]]))
        to_truth = distance_to_surface(ours, *true_surface) / diagonal
        to_ours = distance_to_surface(visible, *our_surface) / diagonal
    clipped = (np.minimum(distance, CHAMFER_CLIP).mean() for distance in (to_truth, to_ours))
    result = {"vertices": len(verts), "faces": len(faces), "chamfer": float(sum(clipped) / 2)}
    for tau in TAUS:
        precision, recall = float((to_truth < tau).mean()), float((to_ours < tau).mean())
        fscore = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        result[f"tau {tau}"] = {"precision": precision, "recall": recall, "fscore": fscore}
    return result


def sample_surface(verts, faces, count, rng, box=None):
    """Points (count, 3) drawn uniformly by area on the triangles whose centroid lies in box (all if None), and the
    triangle (count, 3, 3) of each. Both empty where there is no area."""
    triangles = verts[faces]
    if box is not None:
        centroids = triangles.mean(axis=1)
        triangles = triangles[((centroids >= box[0]) & (centroids <= box[1])).all(axis=1)]
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    if len(triangles) == 0 or area.sum() == 0:
        return np.zeros((0, 3)), np.zeros((0, 3, 3))
    pick = rng.choice(len(triangles), size=count, p=area / area.sum())
    u, v = rng.random(count), rng.random(count)
    fold = u + v > 1
    u[fold], v[fold] = 1 - u[fold], 1 - v[fold]
    a, b, c = a[pick], b[pick], c[pick]
    return a + u[:, None] * (b - a) + v[:, None] * (c - a), triangles[pick]


def distance_to_surface(points, surface_points, surface_triangles, neighbours=4):
    """Distance (n,) of points (n, 3) to a surface: exact to the triangles of the nearest surface samples."""
    near = cKDTree(surface_points).query(points, k=neighbours, workers=-1)[1]
    distances = [point_triangle_distance(points, surface_triangles[near[:, k]]) for k in range(neighbours)]
    return np.min(distances, axis=0)


def point_triangle_distance(points, triangles):
    """Distance (n,) of points (n, 3) to triangles (n, 3, 3): the plane where the foot lies inside, else the edges."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    edges = ((a, b), (b, c), (c, a))
    to_edges = np.min([point_segment_distance(points, start, end) for start, end in edges], axis=0)
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1)
    unit = normal / np.maximum(length, 1e-30)[:, None]
    height = ((points - a) * unit).sum(1)
    foot = points - height[:, None] * unit
    inside = length > 1e-30
    for start, end in edges:
        inside &= (np.cross(end - start, foot - start) * unit).sum(1) >= 0
    return np.where(inside, np.minimum(np.abs(height), to_edges), to_edges)


def point_segment_distance(points, start, end):
    """Distance (n,) of points (n, 3) to segments from start to end (n, 3)."""
    along = end - start
    t = ((points - start) * along).sum(1) / np.maximum((along * along).sum(1), 1e-30)
    return np.linalg.norm(points - (start + np.clip(t, 0, 1)[:, None] * along), axis=1)


def _surface(path):
    verts, faces, _ = read_mesh(path)
    return verts.astype(np.float64), faces.astype(np.int64)
