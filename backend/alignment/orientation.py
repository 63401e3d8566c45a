# SPDX-License-Identifier: Apache-2.0
"""From COLMAP's arbitrary frame to one in which an artist can work: Z up, the ground at 0, a handy size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from milo.backend.data.posed import closest_to_axes

ORBIT = 2.0              # units from the cameras to what they look at, where the true scale is unknown
LEVEL = 12.0             # degrees of roll up to which photos count as held level
GROUND_TILT = 25.0       # degrees between the cameras' up and a plane that may still be the ground
GROUND_SHARE = 0.15      # of the points that must lie in the ground plane
GROUND_ABOVE = 0.75      # of the other points that must lie above it
TRIALS = 400


@dataclass(frozen=True, eq=False)
class Frame:
    """The chosen frame.

    Attributes:
        similarity: [3, 4] new from old: scale * rotation | translation.
        up_from: "ground", "cameras" or "photos": what told which way is up, best first.
        ground: whether a ground plane was found; it is z = 0 then.
    """

    similarity: np.ndarray
    up_from: str
    ground: bool


def choose_frame(viewmats: np.ndarray, points: np.ndarray, seed: int = 0) -> Frame:
    """The frame for cameras [C, 3 or 4, 4] and points [P, 3]: +Z up, the middle of what is looked at above the origin.

    Up comes from the cameras: people hold cameras level, so all image rows are horizontal. A plane in the points that
    lies about level, with the other points above it, is taken for the ground and makes up exact.
    """
    rotations = viewmats[:, :3, :3]
    centers = -np.einsum("cji,cj->ci", rotations, viewmats[:, :3, 3])
    focus = closest_to_axes(centers, rotations[:, 2])
    up, up_from = cameras_up(rotations)
    distance = float(np.median(np.linalg.norm(centers - focus, axis=1)))
    near = points[np.linalg.norm(points - focus, axis=1) < 1.5 * distance]
    plane = ground_plane(near, up, centers, 0.01 * distance, seed)
    if plane is not None:
        up, up_from = plane[0], "ground"
    rotation = rotation_to_z(up)
    scale = ORBIT / max(distance, 1e-12)
    moved_focus = scale * rotation @ focus
    floor = scale * plane[1] if plane is not None else moved_focus[2]
    translation = -np.array([moved_focus[0], moved_focus[1], floor])
    return Frame(np.column_stack([scale * rotation, translation]), up_from, plane is not None)


def cameras_up(rotations: np.ndarray) -> tuple[np.ndarray, str]:
    """Up [3] in the world of world-to-camera rotations [C, 3, 3], and what it comes from.

    "cameras": the direction at right angles to all image rows, where the cameras look in different directions and are
    held level; "photos": the mean of the photos' own up.
    """
    mean = -rotations[:, 1].mean(0)
    mean /= max(np.linalg.norm(mean), 1e-12)
    rows = rotations[:, 0]
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    axis = vectors[:, 0] * (1 if vectors[:, 0] @ mean >= 0 else -1)
    roll = np.degrees(np.arcsin(np.clip(np.abs(rows @ axis), 0, 1)))
    if values[1] > 0.02 and np.median(roll) < LEVEL and axis @ mean > 0.3:
        return axis, "cameras"
    return mean, "photos"


def ground_plane(points: np.ndarray, up: np.ndarray, centers: np.ndarray, thickness: float,
                 seed: int) -> tuple[np.ndarray, float] | None:
    """(normal [3] unit, height along it) of the ground, or None where no plane deserves the name."""
    if len(points) < 50:
        return None
    rng = np.random.default_rng(seed)
    best, support = None, 0
    for _ in range(TRIALS):
        a, b, c = points[rng.choice(len(points), 3, replace=False)]
        normal = np.cross(b - a, c - a)
        length = np.linalg.norm(normal)
        if length < 1e-12:
            continue
        normal *= np.sign(normal @ up) / length
        if normal @ up < np.cos(np.radians(GROUND_TILT)):
            continue
        inside = int((np.abs((points - a) @ normal) < thickness).sum())
        if inside > support:
            best, support = (normal, float(a @ normal)), inside
    if best is None or support < GROUND_SHARE * len(points):
        return None
    normal, height = best
    inliers = points[np.abs(points @ normal - height) < thickness]
    middle = inliers.mean(0)
    normal = np.linalg.svd(inliers - middle, full_matrices=False)[2][2]
    normal *= np.sign(normal @ up)
    height = float(middle @ normal)
    above = points @ normal - height
    others = above[np.abs(above) >= thickness]
    if len(others) and (others > 0).mean() < GROUND_ABOVE:
        return None
    return (normal, height) if (centers @ normal > height).mean() > 0.9 else None


def rotation_to_z(up: np.ndarray) -> np.ndarray:
    """The smallest rotation [3, 3] that takes the unit vector `up` to +Z."""
    axis, cosine = np.cross(up, [0.0, 0.0, 1.0]), float(up[2])
    if cosine < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine)
