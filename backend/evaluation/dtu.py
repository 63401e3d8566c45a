# SPDX-License-Identifier: Apache-2.0
"""Chamfer distance of a mesh by the protocol of DTU (spec extraction 4.2). Figures are in millimetres.

The data folder holds Calibration/cal18/pos_NNN.txt, ObsMask/ObsMaskS_10.mat, ObsMask/PlaneS.mat and
Points/stl/stlSSS_total.ply for scan S.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

from milo.backend.data.errors import SceneError
from milo.backend.data.ply import read_points

from .error_clouds import write_error_cloud
from .point_alignment import moved, similarity

DENSITY = 0.2        # mm between points
PATCH = 60.0         # mm around the box of the scan
FURTHEST = 20.0      # mm; larger distances do not count
MASK_MARGIN = 6      # pixels
VISIBLE = 10.0       # mm that are shown as the worst


# -- from our frame to DTU's -------------------------------------------------------------------------------------------


def true_centers(data: Path, count: int) -> np.ndarray:
    """Camera centres [count, 3], mm, of the first calibration files."""
    centers = []
    for index in range(1, count + 1):
        path = data / "Calibration" / "cal18" / f"pos_{index:03}.txt"
        try:
            projection = np.loadtxt(path).reshape(3, 4)
        except (OSError, ValueError) as error:
            raise SceneError(path, f"it cannot be read ({error})", "Give DTU's folder with --data") from error
        centers.append(-np.linalg.solve(projection[:, :3], projection[:, 3]))
    return np.array(centers)


def alignment(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The similarity [4, 4] between camera centres [C, 3]: scale by the mean distance from their centroid, then a rigid
    motion."""
    spread = [np.linalg.norm(centers - centers.mean(axis=0), axis=1).mean() for centers in (theirs, ours)]
    scaling = np.diag([*3 * [spread[0] / spread[1]], 1.0])
    return similarity(moved(ours, scaling), theirs, scaled=False) @ scaling


def cull(verts: np.ndarray, faces: np.ndarray, views: Sequence, pixel_shift: float = 0.5) -> np.ndarray:
    """[F] bool: faces all of whose vertices lie, in each view, outside the picture or within the dilated mask.

    Args:
        verts: [V, 3] in the frame of the views; faces: [F, 3].
        views: training views with masks.
        pixel_shift: of pixel positions; 0.5 as the published figures have it, 0 where pixels are.

    Raises:
        SceneError: a view has no mask.
    """
    kept = np.ones(len(verts), bool)
    disk = np.hypot(*np.mgrid[-MASK_MARGIN:MASK_MARGIN + 1, -MASK_MARGIN:MASK_MARGIN + 1]) <= MASK_MARGIN
    for view in views:
        if view.mask is None:
            raise SceneError(view.camera.name, "the photo has no mask", "DTU's protocol needs masks or alpha channels")
        mask = binary_dilation(view.mask.cpu().numpy() > 0, disk)
        viewmat, K = view.camera.viewmat.double().cpu().numpy(), view.camera.K.double().cpu().numpy()
        x, y, z = moved(verts, viewmat).T
        u = K[0, 0] * x / (z + 1e-6) + K[0, 2] - 0.5 + pixel_shift
        v = K[1, 1] * y / (z + 1e-6) + K[1, 2] - 0.5 + pixel_shift
        seen = (u > 0) & (u < mask.shape[1] - 1) & (v > 0) & (v < mask.shape[0] - 1)
        kept[seen] &= mask[np.rint(v[seen]).astype(int), np.rint(u[seen]).astype(int)]
    return kept[faces].all(axis=1)


# -- the distance ------------------------------------------------------------------------------------------------------


def chamfer(verts: np.ndarray, faces: np.ndarray, data: Path, scan: int, *, seed: int = 0,
            clouds: Path | None = None) -> dict:
    """Accuracy, completeness and their mean.

    Args:
        verts: [V, 3] mm, DTU's frame; faces: [F, 3].
        data: DTU's folder.
        scan: number of the scan.
        seed: of the order in which points are thinned out.
        clouds: folder for accuracy.ply and completeness.ply, coloured by distance up to 10 mm; None = not written.

    Returns:
        {"scan", "mean_d2s" (accuracy), "mean_s2d" (completeness), "overall", "points"}.

    Raises:
        SceneError: a file is missing or damaged, or the mesh has nothing in the box of the scan.
    """
    mask, box, resolution = _mat(data / "ObsMask" / f"ObsMask{scan}_10.mat", "ObsMask", "BB", "Res")
    (plane,) = _mat(data / "ObsMask" / f"Plane{scan}.mat", "P")
    truth, _ = read_points(data / "Points" / "stl" / f"stl{scan:03}_total.ply")
    points = thinned(np.concatenate([surface_points(verts, faces), verts]), DENSITY, seed)
    points = points[((points >= box[0] - PATCH) & (points < box[1] + 2 * PATCH)).all(axis=1)]
    voxel = np.rint((points - box[0]) / resolution.item()).astype(int)
    inside = ((voxel >= 0) & (voxel < mask.shape)).all(axis=1)
    observed = inside.copy()
    observed[inside] = mask[tuple(voxel[inside].T)].astype(bool)
    above = np.c_[truth, np.ones(len(truth))] @ plane.reshape(4) > 0
    if not observed.any() or not above.any():
        raise SceneError(data, f"the mesh has no surface where scan {scan} was observed", "Align it to DTU's frame")
    to_truth = cKDTree(truth).query(points[observed], workers=-1)[0]
    to_ours = cKDTree(points).query(truth[above], workers=-1)[0]
    if clouds is not None:
        write_error_cloud(clouds / "accuracy.ply", points[observed], to_truth, VISIBLE)
        write_error_cloud(clouds / "completeness.ply", truth[above], to_ours, VISIBLE)
    accuracy, completeness = _mean(to_truth), _mean(to_ours)
    return {"scan": scan, "mean_d2s": accuracy, "mean_s2d": completeness, "overall": (accuracy + completeness) / 2,
            "points": len(points)}


def surface_points(verts: np.ndarray, faces: np.ndarray, density: float = DENSITY) -> np.ndarray:
    """Points [P, 3] inside triangles, in rows along two of their edges, about `density` apart."""
    origin = verts[faces[:, 0]]
    e1, e2 = verts[faces[:, 1]] - origin, verts[faces[:, 2]] - origin
    l1, l2 = np.linalg.norm(e1, axis=1), np.linalg.norm(e2, axis=1)
    area = np.linalg.norm(np.cross(e1, e2), axis=1)
    good = area > 0
    step = density * np.sqrt(l1[good] * l2[good] / area[good])
    n1, n2 = np.floor(l1[good] / step).astype(int), np.floor(l2[good] / step).astype(int)
    origin, e1, e2 = origin[good], e1[good], e2[good]
    found = []
    for a_count, b_count in np.unique(np.stack([n1, n2], axis=1), axis=0):
        if not a_count or not b_count:
            continue
        rows = (n1 == a_count) & (n2 == b_count)
        a, b = np.meshgrid((np.arange(a_count + 1) + 0.5) / a_count, (np.arange(b_count + 1) + 0.5) / b_count)
        a, b = (values[a + b < 1][:, None] for values in (a, b))
        found.append((origin[rows, None] + a * e1[rows, None] + b * e2[rows, None]).reshape(-1, 3))
    return np.concatenate(found) if found else np.zeros((0, 3))


def thinned(points: np.ndarray, distance: float, seed: int) -> np.ndarray:
    """Points [P, 3] of which no two are within `distance`: kept one after the other in random order."""
    points = np.random.default_rng(seed).permutation(points)
    tree = cKDTree(points)
    kept = np.ones(len(points), bool)
    for start in range(0, len(points), 20_000):
        rows = start + np.flatnonzero(kept[start:start + 20_000])
        for row, near in zip(rows, tree.query_ball_point(points[rows], distance, workers=-1)):
            if kept[row]:
                kept[near] = False
                kept[row] = True
    return points[kept]


def _mean(distances: np.ndarray) -> float:
    close = distances[distances < FURTHEST]
    return float(close.mean()) if len(close) else FURTHEST


def _mat(path: Path, *names: str) -> list[np.ndarray]:
    try:
        table = loadmat(path)
        return [np.asarray(table[name]) for name in names]
    except (OSError, KeyError, ValueError, NotImplementedError) as error:
        raise SceneError(path, f"it cannot be read ({error})", "Give DTU's folder with --data") from error
