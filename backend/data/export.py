# SPDX-License-Identifier: Apache-2.0
"""Scenes as other programs read them: COLMAP models, transforms.json, and the output folder of 3DGS.

Photos and masks are copied, never linked: what is written stands on its own. World coordinates are not changed.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .cameras import Camera
from .errors import SceneError
from .ply import write_points
from .posed import PosedImage, PosedImages
from .splat_folder import camera_records
from .transforms import OPENGL_TO_OPENCV

PINHOLE = 1   # COLMAP's number of the camera model


def export_transforms(posed: PosedImages, output: Path) -> Path:
    """Write transforms.json, images/, masks/ and points3d.ply; of a scene that says which photos are for testing,
    transforms_train.json and transforms_test.json instead. Returns the (training) file."""
    _start(output)
    files = _copied(posed.images, output)
    write_points(output / "points3d.ply", posed.points.astype(np.float32), posed.colors)
    frames = [_frame(image, files[image.name]) for image in posed.images]
    held_out = posed.held_out or frozenset()
    parts = {"transforms.json": [True] * len(frames)}
    if held_out:
        tested = [image.name in held_out for image in posed.images]
        parts = {"transforms_train.json": [not test for test in tested], "transforms_test.json": tested}
    for name, wanted in parts.items():
        table = {"camera_model": "OPENCV", "ply_file_path": "points3d.ply",
                 "frames": [frame for frame, keep in zip(frames, wanted) if keep]}
        (output / name).write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return output / next(iter(parts))


def export_colmap(posed: PosedImages, output: Path) -> Path:
    """Write sparse/0 (binary, one PINHOLE camera per different lens), images/ and masks/, and test.txt if the scene
    says which photos are for testing. Returns sparse/0."""
    _start(output)
    _copied(posed.images, output)
    model = output / "sparse" / "0"
    model.mkdir(parents=True)
    lenses: dict[tuple, int] = {}
    records = []
    for number, image in enumerate(posed.images, 1):
        lens = (image.width, image.height, *(float(image.K[place]) for place in ((0, 0), (1, 1), (0, 2), (1, 2))))
        camera = lenses.setdefault(lens, len(lenses) + 1)
        pose = struct.pack("<i7di", number, *_quaternion(image.viewmat[:3, :3]), *image.viewmat[:3, 3], camera)
        records.append(pose + image.name.encode("utf-8", "surrogateescape") + b"\0" + struct.pack("<Q", 0))
    cameras = [struct.pack("<iiQQ4d", number, PINHOLE, *lens) for lens, number in lenses.items()]
    points = [struct.pack("<Q3d3BdQ", number, *point, *color, 0.0, 0)
              for number, (point, color) in enumerate(zip(posed.points.tolist(), posed.colors.tolist()), 1)]
    for name, rows in (("cameras", cameras), ("images", records), ("points3D", points)):
        (model / f"{name}.bin").write_bytes(struct.pack("<Q", len(rows)) + b"".join(rows))
    if posed.held_out is not None:
        names = "".join(f"{name}\n" for name in sorted(posed.held_out))
        (output / "test.txt").write_text(names, encoding="utf-8")
    return model


def export_splat_folder(splats: Path, posed: PosedImages, cameras: Sequence[Camera], output: Path, *, iteration: int,
                        sh_degree: int, scene: Path, images: str, white_background: bool) -> Path:
    """Write the output folder of 3DGS, which its viewers open: point_cloud/, cameras.json, cfg_args and input.ply.

    Args:
        splats: PLY to copy.
        posed: gives the points; cameras: all of them, test views first.
        iteration, sh_degree, scene, images, white_background: said in cfg_args.

    Returns:
        the splats' new path.
    """
    _start(output)
    place = output / "point_cloud" / f"iteration_{iteration}" / "point_cloud.ply"
    place.parent.mkdir(parents=True)
    shutil.copyfile(splats, place)
    (output / "cameras.json").write_text(json.dumps(camera_records(list(cameras))) + "\n", encoding="utf-8")
    write_points(output / "input.ply", posed.points.astype(np.float32), posed.colors)
    arguments = {"sh_degree": sh_degree, "source_path": str(scene.resolve()), "model_path": str(output.resolve()),
                 "images": images, "resolution": -1, "white_background": white_background, "data_device": "cuda",
                 "eval": posed.held_out is not None}
    words = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    (output / "cfg_args").write_text(f"Namespace({words})", encoding="utf-8")
    return place


def _start(output: Path) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SceneError(output, "there is something at this place already", "Give a new or an empty folder")
    output.mkdir(parents=True, exist_ok=True)


def _copied(images: list[PosedImage], output: Path) -> dict[str, str | None]:
    """Copy photos and masks; the mask's path below `output` of each photo, by name."""
    masks: dict[str, str | None] = {}
    for image in images:
        masks[image.name] = None
        place = output / "images" / image.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image.path, place)
        if image.mask is not None:
            masks[image.name] = f"masks/{Path(image.name).with_suffix(image.mask.suffix).as_posix()}"
            place = output / masks[image.name]
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(image.mask, place)
    return masks


def _frame(image: PosedImage, mask: str | None) -> dict:
    pose = np.linalg.inv(OPENGL_TO_OPENCV @ image.viewmat)
    frame = {"file_path": f"images/{image.name}", "w": image.width, "h": image.height, "fl_x": image.K[0, 0],
             "fl_y": image.K[1, 1], "cx": image.K[0, 2], "cy": image.K[1, 2], "transform_matrix": pose.tolist()}
    return frame | ({"mask_path": mask} if mask else {})


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """(w, x, y, z) of a rotation matrix: the eigenvector of its largest eigenvalue, which is stable everywhere."""
    (a, b, c), (d, e, f), (g, h, i) = rotation
    symmetric = np.array([[a + e + i, h - f, c - g, d - b], [h - f, a - e - i, b + d, c + g],
                          [c - g, b + d, e - a - i, f + h], [d - b, c + g, f + h, i - a - e]])
    quat = np.linalg.eigh(symmetric)[1][:, -1]
    return quat if quat[0] >= 0 else -quat
