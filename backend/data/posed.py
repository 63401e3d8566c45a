# SPDX-License-Identifier: Apache-2.0
"""What every scene reader (COLMAP, transforms.json, camera set) hands over: posed image files and initial points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import PointsError, SceneError, listed

RANDOM_POINTS = 10_000  # where a scene brings none; the reference takes 100,000, most of a CPU preview's work


@dataclass(frozen=True, eq=False)
class PosedImage:
    """An image file with its camera, nothing decoded yet.

    Attributes:
        name: posix path below the image folder, with suffix.
        path: of the photo.
        mask: of a separate 8-bit mask, or None.
        viewmat: [4, 4] float64, world to camera.
        K: [3, 3] float64, pixels of a width x height image.
        width, height: image size that K belongs to; the file may have another size of the same aspect.
    """

    name: str
    path: Path
    viewmat: np.ndarray
    K: np.ndarray
    width: int
    height: int
    mask: Path | None = None


@dataclass(frozen=True, eq=False)
class PosedImages:
    """A scene as its reader found it.

    Attributes:
        images: sorted by name.
        points: [P, 3] float64, world units.
        colors: [P, 3] uint8.
        held_out: names of the test images, or None if the scene does not say.
        where: the file at fault if something is wrong with the whole.
        notes: what the user should know about how it was read, sentences.
    """

    images: list[PosedImage]
    points: np.ndarray
    colors: np.ndarray
    where: Path
    held_out: frozenset[str] | None = None
    notes: tuple[str, ...] = ()


def check_points(where: Path, points: np.ndarray) -> None:
    """Refuse an empty or non-finite set of initial points [P, 3]."""
    hint = "Solve the cameras again with more overlap between the photos"
    if len(points) == 0:
        raise PointsError(where, "the scene has zero points to start from", hint)
    bad = int((~np.isfinite(points)).any(axis=1).sum())
    if bad:
        raise PointsError(where, f"{bad} of {len(points)} points are not finite (NaN or infinity)", hint)


def read_held_out(path: Path, images: list[PosedImage]) -> frozenset[str] | None:
    """The names of `images` that the text file lists, one a line (suffix optional), or None if there is no file."""
    if not path.is_file():
        return None
    known = {image.name: image.name for image in images}
    stems = {image.name.rsplit(".", 1)[0]: image.name for image in images}
    listed_names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    unknown = [name for name in listed_names if name not in known and name not in stems]
    if unknown:
        raise SceneError(path, f"it names images that the scene does not have: {listed(unknown)}", "Correct the list")
    return frozenset(known.get(name) or stems[name] for name in listed_names)


def random_points(images: list[PosedImage], count: int = RANDOM_POINTS, seed: int = 0):
    """Points to start from where a scene brings none: uniform in the box that the cameras look at.

    The box is centred on the point closest to all optical axes; its half side is 0.9 of what the average camera sees
    at that distance. (For NeRF's synthetic scenes this gives +-1.3, the reference's fixed box; spec training.md, 1.3.)

    Returns:
        points [count, 3] float64, colors [count, 3] uint8 mid grey.
    """
    centers = np.stack([-image.viewmat[:3, :3].T @ image.viewmat[:3, 3] for image in images])
    axes = np.stack([image.viewmat[2, :3] for image in images])
    focus = closest_to_axes(centers, axes)
    distance = np.linalg.norm(centers - focus, axis=1).mean()
    half_view = np.mean([min(i.width / i.K[0, 0], i.height / i.K[1, 1]) / 2 for i in images])
    rng = np.random.default_rng(seed)
    points = focus + 0.9 * distance * half_view * rng.uniform(-1, 1, (count, 3))
    return points, np.full((count, 3), 128, np.uint8)


def closest_to_axes(centers: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """The point [3] with the least sum of squared distances to the lines centers + t axes ([C, 3] each, unit axes).

    Where the axes are (nearly) parallel, or the point would lie behind the cameras, it is a point in front of them, at
    the distance of the cameras' own spread.
    """
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    system = across.sum(0)
    middle = centers.mean(0)
    if np.linalg.eigvalsh(system)[0] > 1e-3 * len(axes):
        focus = np.linalg.solve(system, np.einsum("nij,nj->i", across, centers))
        if np.mean(((focus - centers) * axes).sum(1) > 0) > 0.5:
            return focus
    spread = np.linalg.norm(centers - middle, axis=1).max()
    forward = axes.mean(0)
    return middle + forward / max(np.linalg.norm(forward), 1e-9) * max(2 * spread, 1e-6)
