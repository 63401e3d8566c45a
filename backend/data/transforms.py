# SPDX-License-Identifier: Apache-2.0
"""transforms.json scenes (NeRF, instant-ngp, Nerfstudio, Blender exporters; spec training.md, 1.3).

Either `transforms_train.json` with an optional `transforms_test.json` (the held-out views), or `transforms.json`.
Poses are camera to world in OpenGL axes (x right, y up, z backward). Intrinsics (`fl_x fl_y cx cy w h`, or
`camera_angle_x`) stand in the frame or for all frames. `file_path` may lack its suffix. Masks: `mask_path` of a frame,
or a masks folder. Points: `ply_file_path`, or points3d.ply, else random (`posed.random_points`).
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from .cameras import checked_K, pinhole, rigid_viewmat
from .errors import CameraModelError, ImageError, SceneError, listed
from .images import SUFFIXES, image_size
from .masks import find_mask
from .ply import read_points
from .posed import PosedImage, PosedImages, check_points, random_points

DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])


def is_transforms(root: Path) -> bool:
    """True if `root` holds a transforms scene."""
    return (root / "transforms_train.json").is_file() or (root / "transforms.json").is_file()


def read_transforms(root: Path, images: str = "images", masks: str = "masks") -> PosedImages:
    """The posed images and points of a transforms scene; `images` is cut off the front of image names.

    Raises:
        SceneError: the file is not valid, a camera is distorted, images are missing, or a pose is not finite.
    """
    train = root / "transforms_train.json"
    where = train if train.is_file() else root / "transforms.json"
    document = _load(where)
    posed = _frames(root, where, document, images, masks)
    held_out = None
    test = root / "transforms_test.json"
    if where == train and test.is_file():
        test_images = _frames(root, test, _load(test), images, masks)
        held_out = frozenset(image.name for image in test_images)
        posed = [image for image in posed if image.name not in held_out] + test_images
    if not posed:
        raise SceneError(where, "there are no frames in it", "Export the cameras again")
    posed.sort(key=lambda image: image.name)

    ply = _points_file(root, document)
    if ply is None:
        points, colors = random_points(posed)
    else:
        points, colors = read_points(ply)
        check_points(ply, points)
    return PosedImages(posed, points, colors, where, held_out)


def _load(path: Path) -> dict:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SceneError(path, f"this is not valid JSON ({error})", "Export the cameras again") from error
    if not isinstance(document, dict) or not isinstance(document.get("frames"), list):
        raise SceneError(path, "it has no list of frames", "Export the cameras again")
    return document


def _points_file(root: Path, document: dict) -> Path | None:
    names = [document.get("ply_file_path"), "points3d.ply", "points3D.ply", "sparse_pc.ply"]
    return next((root / name for name in names if isinstance(name, str) and (root / name).is_file()), None)


def _frames(root: Path, where: Path, document: dict, images: str, masks: str) -> list[PosedImage]:
    found, missing = [], []
    for index, frame in enumerate(document["frames"]):
        if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str):
            raise SceneError(where, f"frame {index} has no file_path", "Export the cameras again")
        path = _image_file(root, frame["file_path"])
        (found if path else missing).append((frame, path or frame["file_path"]))
    if missing:
        names = sorted(path for _, path in missing)
        raise ImageError(where, f"{len(missing)} of {len(document['frames'])} images are missing: {listed(names)}",
                         "Put them back, or remove their frames")
    return [_posed(root, where, document, frame, path, images, masks) for frame, path in found]


def _image_file(root: Path, file_path: str) -> Path | None:
    path = root / file_path
    if path.is_file():
        return path
    candidates = (path.with_name(path.name + end) for suffix in SUFFIXES for end in (suffix, suffix.upper()))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _posed(root: Path, where: Path, document: dict, frame: dict, path: Path, images: str, masks: str) -> PosedImage:
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    name = name.removeprefix(f"{images}/")
    values = {**{key: value for key, value in document.items() if key != "frames"}, **frame}
    try:
        if any(float(values.get(key, 0.0)) for key in DISTORTION) or "FISHEYE" in str(values.get("camera_model", "")):
            raise CameraModelError(where, f"the camera of {name} has lens distortion",
                                   "MILo needs undistorted photos: undistort them first")
        K, width, height = _intrinsics(values, path)
        matrix = np.array(frame["transform_matrix"], np.float64)
    except KeyError as error:
        raise SceneError(where, f"the frame of {name} lacks {error}", "Export the cameras again") from None
    except (TypeError, ValueError) as error:
        if isinstance(error, SceneError):
            raise
        raise SceneError(where, f"the camera of {name} is not made of numbers", "Export the cameras again") from error
    mask = root / frame["mask_path"] if frame.get("mask_path") else find_mask(root / masks, name)
    return PosedImage(
        name=name,
        path=path,
        viewmat=viewmat_of(where, name, matrix),
        K=checked_K(str(where), name, K, width, height),
        width=width,
        height=height,
        mask=mask,
    )


def viewmat_of(where: Path, name: str, camera_to_world: np.ndarray) -> np.ndarray:
    """World-to-camera [4, 4] in OpenCV axes from camera-to-world [4, 4] (or [3, 4]) in OpenGL axes."""
    if camera_to_world.shape == (3, 4):
        camera_to_world = np.vstack([camera_to_world, [0.0, 0.0, 0.0, 1.0]])
    pose = rigid_viewmat(str(where), name, camera_to_world)  # checks, before it is inverted
    rotation, center = pose[:3, :3].T, pose[:3, 3]
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, -rotation @ center
    return OPENGL_TO_OPENCV @ viewmat


def _intrinsics(values: dict, path: Path) -> tuple[np.ndarray, int, int]:
    if "w" in values and "h" in values:
        width, height = int(values["w"]), int(values["h"])
    else:
        width, height = image_size(path)
    fx = float(values["fl_x"]) if "fl_x" in values else width / (2 * math.tan(float(values["camera_angle_x"]) / 2))
    if "fl_y" in values:
        fy = float(values["fl_y"])
    elif "camera_angle_y" in values and "fl_x" not in values:
        fy = height / (2 * math.tan(float(values["camera_angle_y"]) / 2))
    else:
        fy = fx
    return pinhole(fx, fy, float(values.get("cx", width / 2)), float(values.get("cy", height / 2))), width, height
