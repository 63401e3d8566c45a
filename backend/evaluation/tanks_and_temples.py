# SPDX-License-Identifier: Apache-2.0
"""F1 of a mesh by the protocol of Tanks and Temples (spec extraction 4.1).

A scene's folder, named SCENE, holds SCENE.ply (laser points, metres), SCENE.json (the crop volume), SCENE_trans.txt
(4 x 4, from the log's frame to the laser's) and SCENE_COLMAP_SfM.log (camera poses).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from milo.backend.data.errors import SceneError
from milo.backend.data.ply import read_mesh, read_points

from .error_clouds import write_error_cloud
from .point_alignment import icp, moved, ransac_similarity, voxel_downsample
from .score import sample_surface

THRESHOLDS = {"Barn": 0.01, "Caterpillar": 0.005, "Church": 0.025, "Courthouse": 0.025, "Ignatius": 0.003,
              "Meetingroom": 0.01, "Truck": 0.005}   # metres
POSE_DISTANCE = 0.2    # metres, between a camera and where it should be
MOST_POINTS = 4_000_000
RESIDUAL = 0.5         # share of the cameras that must agree with the trajectory of the ground truth


class Crop(NamedTuple):
    """A polygon swept along an axis."""

    axis: int                # 0, 1, 2
    low: float
    high: float
    polygon: np.ndarray      # [C, 2] float64, the two other coordinates in ascending order of their axes

    def inside(self, points: np.ndarray) -> np.ndarray:
        """[P] bool for points [P, 3]."""
        along = points[:, self.axis]
        x, y = (points[:, axis] for axis in range(3) if axis != self.axis)
        odd = np.zeros(len(points), bool)
        for (x0, y0), (x1, y1) in zip(self.polygon, np.roll(self.polygon, -1, axis=0)):
            if y0 == y1:
                continue
            crosses = (y0 > y) != (y1 > y)
            odd ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
        return odd & (along >= self.low) & (along <= self.high)


def read_crop(path: Path) -> Crop:
    """A crop volume as Open3D writes it."""
    table = _parsed(path, lambda: json.loads(path.read_text(encoding="utf-8")))
    try:
        axis = "XYZ".index(table["orthogonal_axis"].upper())
        polygon = np.array(table["bounding_polygon"], np.float64)
        return Crop(axis, float(table["axis_min"]), float(table["axis_max"]), np.delete(polygon, axis, axis=1))
    except (KeyError, ValueError, AttributeError) as error:
        raise SceneError(path, f"this is not a crop volume ({error})", "Download it again") from error


def read_trajectory(path: Path) -> np.ndarray:
    """Camera-to-world matrices [C, 4, 4] of a .log (three integers, then four rows a camera), an .npy, or the .json of
    sdfstudio (meta_data.json) or of a NeRF (transforms.json), whose axes may differ: only the centres are compared."""
    if path.suffix in (".npy", ".json"):
        poses = _parsed(path, lambda: _frames(path) if path.suffix == ".json" else np.load(path, allow_pickle=False))
        shaped = poses.ndim == 3 and poses.shape[1:] == (4, 4)
    else:
        numbers = _parsed(path, lambda: np.array(path.read_text(encoding="utf-8").split(), np.float64))
        shaped = len(numbers) > 0 and len(numbers) % 19 == 0
        poses = numbers.reshape(-1, 19)[:, 3:].reshape(-1, 4, 4) if shaped else numbers
    if not shaped or not np.isfinite(poses).all():
        raise SceneError(path, "this is not a trajectory (three integers and four rows a camera)", "Give another file")
    return poses.astype(np.float64)


def _frames(path: Path) -> np.ndarray:
    try:
        frames = json.loads(path.read_text(encoding="utf-8"))["frames"]
        return np.array([frame.get("camtoworld") or frame["transform_matrix"] for frame in frames], np.float64)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no frames with camtoworld: {error}") from error


def write_trajectory(path: Path, viewmats: np.ndarray) -> None:
    """Write world-to-camera matrices [C, 4, 4] as a .log."""
    with path.open("w", encoding="ascii") as file:
        for index, viewmat in enumerate(viewmats):
            rows = "\n".join(" ".join(f"{value:.12g}" for value in row) for row in np.linalg.inv(viewmat))
            file.write(f"{index} {index} 0\n{rows}\n")


def evaluate(mesh_path: Path, dataset: Path, poses: np.ndarray, tau: float | None = None, *, seed: int = 0,
             clouds: Path | None = None) -> dict:
    """Precision, recall and F1 of a mesh, as published, and with points drawn uniformly on its surface.

    The published protocol takes vertices and barycentres of faces as points, so that its figures depend on how finely
    a surface is divided; "uniform" does not.

    Args:
        mesh_path: PLY of triangles, in the frame of `poses`.
        dataset: the scene's folder.
        poses: [C, 4, 4] camera to world of the reconstruction, as many and in the order of the scene's log.
        tau: threshold, metres; that of the scene if None.
        seed: of RANSAC and of the points drawn.
        clouds: folder for precision.ply and recall.ply, coloured by distance up to three tau; None = not written.

    Returns:
        {"scene", "tau", "cameras_agreeing", "transform", "legacy": {"precision", "recall", "fscore", "points"},
        "uniform": {...}, "curve": {"distances", "precision", "recall"}}.

    Raises:
        SceneError: a file is missing or damaged, tau is not known, or the cameras do not match.
    """
    name = dataset.resolve().name
    tau = tau or THRESHOLDS.get(name)
    if tau is None:
        raise SceneError(dataset, f"{name} is no scene of Tanks and Temples", "Give its threshold with --tau")
    verts, faces, _ = read_mesh(mesh_path)
    verts = verts.astype(np.float64)
    truth, _ = read_points(dataset / f"{name}.ply")
    crop = read_crop(dataset / f"{name}.json")
    trans = _parsed(dataset / f"{name}_trans.txt", lambda: np.loadtxt(dataset / f"{name}_trans.txt"))
    true_centers = moved(read_trajectory(dataset / f"{name}_COLMAP_SfM.log")[:, :3, 3], trans)
    if len(true_centers) != len(poses):
        raise SceneError(dataset, f"its log has {len(true_centers)} cameras, but the reconstruction {len(poses)}",
                         "Give the trajectory of all photos, in the log's order")
    transform, agreeing = ransac_similarity(poses[:, :3, 3], true_centers, POSE_DISTANCE, seed=seed)
    if agreeing.mean() < RESIDUAL:
        raise SceneError(dataset, f"only {agreeing.sum()} of {len(poses)} cameras fit those of the ground truth",
                         "Check that the trajectory has the same photos in the same order")

    points = np.concatenate([np.unique(verts[np.unique(faces)], axis=0), verts[faces].mean(axis=1)])
    rng = np.random.default_rng(seed)
    transform = _refined(points, truth, crop, transform, tau)
    uniform, _ = sample_surface(moved(verts, transform), faces, min(MOST_POINTS, 4 * len(points)), rng)
    legacy, curve = _score(moved(points, transform), truth, crop, tau, clouds)
    return {"scene": name, "tau": tau, "cameras_agreeing": float(agreeing.mean()), "transform": transform.tolist(),
            "legacy": legacy, "uniform": _score(uniform, truth, crop, tau)[0], "curve": curve}


def _refined(points: np.ndarray, truth: np.ndarray, crop: Crop, transform: np.ndarray, tau: float) -> np.ndarray:
    """The alignment after three rounds of ICP, coarse to fine."""
    target = truth[crop.inside(truth)]
    for voxel, distance in ((tau, 80 * tau), (tau / 2, 20 * tau), (None, 2 * tau)):
        source = moved(points, transform)
        source = source[crop.inside(source)]
        if len(source) < 3 or len(target) < 3:
            return transform
        thin = _every_nth if voxel is None else lambda cloud, size=voxel: voxel_downsample(cloud, size)
        transform = icp(thin(source), thin(target), distance) @ transform
    return transform


def _every_nth(points: np.ndarray) -> np.ndarray:
    return points[:: max(1, round(len(points) / MOST_POINTS))]


def _score(points: np.ndarray, truth: np.ndarray, crop: Crop, tau: float,
           clouds: Path | None = None) -> tuple[dict, dict]:
    """Figures at tau, and the curves up to 5 tau."""
    ours = voxel_downsample(points[crop.inside(points)], tau / 2)
    theirs = voxel_downsample(truth[crop.inside(truth)], tau / 2)
    to_truth = cKDTree(theirs).query(ours, workers=-1)[0] if len(ours) and len(theirs) else np.full(1, np.inf)
    to_ours = cKDTree(ours).query(theirs, workers=-1)[0] if len(ours) and len(theirs) else np.full(1, np.inf)
    if clouds is not None and len(ours) and len(theirs):
        write_error_cloud(clouds / "precision.ply", ours, to_truth, 3 * tau)
        write_error_cloud(clouds / "recall.ply", theirs, to_ours, 3 * tau)
    precision, recall = float((to_truth < tau).mean()), float((to_ours < tau).mean())
    fscore = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    steps = np.arange(0, 5 * tau, tau / 100)
    curve = {"distances": steps.tolist(), "precision": _cumulative(to_truth, steps),
             "recall": _cumulative(to_ours, steps)}
    return {"precision": precision, "recall": recall, "fscore": fscore, "points": len(ours)}, curve


def _cumulative(distances: np.ndarray, steps: np.ndarray) -> list[float]:
    return (np.searchsorted(np.sort(distances), steps) / len(distances)).round(5).tolist()


def _parsed(path: Path, read):
    if not path.is_file():
        raise SceneError(path, "the file is missing", "Give the folder of a scene of Tanks and Temples")
    try:
        return read()
    except (OSError, ValueError) as error:
        raise SceneError(path, f"it cannot be read ({error})", "Download it again") from error
