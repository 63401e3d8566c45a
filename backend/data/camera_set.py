# SPDX-License-Identifier: Apache-2.0
"""Camera sets: the cameras of an open Blender scene with their background images, as the service lays them out.

A folder with cameras.json:

    {"format": 1, "points": "points.npy" | null, "colors": "colors.npy" | null,
     "cameras": [{"name", "image", "width", "height", "K": [9], "viewmat": [16]}]}

K and viewmat are row-major in the COLMAP convention (cameras.py); `image` is a path inside the folder. Without points,
random ones are drawn where the cameras look (`posed.random_points`).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .cameras import checked_K, rigid_viewmat
from .errors import ImageError, PointsError, SceneError, listed
from .masks import find_mask
from .posed import PosedImage, PosedImages, check_points, random_points

FORMAT = 1


def is_camera_set(root: Path) -> bool:
    """True if `root` holds a camera set."""
    return (root / "cameras.json").is_file()


def read_camera_set(root: Path, images: str = "images", masks: str = "masks") -> PosedImages:
    """The posed images and points of a camera set; `images` is cut off the front of image names.

    Raises:
        SceneError: the file is not valid or of another format, images are missing, or a pose or point is not finite.
    """
    where = root / "cameras.json"
    hint = "Send the cameras from Blender again"
    try:
        document = json.loads(where.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SceneError(where, f"this is not valid JSON ({error})", hint) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SceneError(where, f"this is not a camera set of format {FORMAT}", hint)
    cameras = document.get("cameras")
    if not isinstance(cameras, list) or not cameras:
        raise SceneError(where, "there are no cameras in it", hint)
    try:
        posed = [_posed(root, where, camera, images, masks) for camera in cameras]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, SceneError):
            raise
        raise SceneError(where, f"a camera in it is incomplete ({type(error).__name__}: {error})", hint) from error
    missing = sorted(image.name for image in posed if not image.path.is_file())
    if missing:
        raise ImageError(root, f"{len(missing)} of {len(posed)} images are missing: {listed(missing)}", hint)
    posed.sort(key=lambda image: image.name)

    if document.get("points") is None:
        points, colors = random_points(posed)
    else:
        points = _points(_inside(root, where, document["points"]))
        colors = _colors(root, where, document.get("colors"), len(points))
    return PosedImages(posed, points, colors, where)


def _posed(root: Path, where: Path, camera: dict, images: str, masks: str) -> PosedImage:
    path = _inside(root, where, camera["image"])
    name = Path(camera["image"]).as_posix().removeprefix(f"{images}/")
    label, width, height = str(camera["name"]), int(camera["width"]), int(camera["height"])
    K = np.array(camera["K"], np.float64).reshape(3, 3)
    return PosedImage(
        name=name,
        path=path,
        viewmat=rigid_viewmat(str(where), label, np.array(camera["viewmat"], np.float64).reshape(4, 4)),
        K=checked_K(str(where), label, K, width, height),
        width=width,
        height=height,
        mask=find_mask(root / masks, name),
    )


def _inside(root: Path, where: Path, relative: str) -> Path:
    parts = Path(relative)
    if parts.is_absolute() or ".." in parts.parts:
        raise SceneError(where, f"the path {relative!r} leads out of the scene", "Send the cameras from Blender again")
    return root / parts


def _colors(root: Path, where: Path, name: str | None, count: int) -> np.ndarray:
    """[count, 3] uint8: those of the file, mid grey without one."""
    if name is None:
        return np.full((count, 3), 128, np.uint8)
    path = _inside(root, where, name)
    try:
        colors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PointsError(path, "the colours cannot be read", "Send the cameras from Blender again") from error
    if colors.shape != (count, 3) or colors.dtype != np.uint8:
        raise PointsError(path, f"there is not one 8-bit colour for each of {count} points", "Send the cameras again")
    return colors


def _points(path: Path) -> np.ndarray:
    try:
        points = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PointsError(path, "the points cannot be read", "Send the cameras from Blender again") from error
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind != "f":
        raise PointsError(path, f"the points have shape {points.shape}, not [P, 3]", "Send the cameras again")
    check_points(path, points)
    return points.astype(np.float64)
