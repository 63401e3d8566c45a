# SPDX-License-Identifier: Apache-2.0
"""Output folders of 3DGS and the programs that descend from it, the reference among them (spec training.md 1.7, 2.9).

    point_cloud/iteration_30000/point_cloud.ply    the splats
    cameras.json                                   all cameras, without the photos
    cfg_args                                       Namespace(source_path='...', images='images', ...)
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import torch

from .cameras import Camera, checked_K, pinhole, rigid_viewmat
from .errors import SceneError


def latest_splats(folder: Path) -> Path | None:
    """The splats of the last saved iteration, or None if this is not such a folder."""
    found = {}
    for path in folder.glob("point_cloud/iteration_*/point_cloud.ply"):
        number = path.parent.name.removeprefix("iteration_")
        if number.isdigit():
            found[int(number)] = path
    return found[max(found)] if found else None


def read_arguments(folder: Path) -> dict:
    """The arguments in cfg_args, {} if there is no such file.

    Raises:
        SceneError: the file is not a Namespace of plain values.
    """
    path = folder / "cfg_args"
    if not path.is_file():
        return {}
    try:
        call = ast.parse(path.read_text(encoding="utf-8").strip(), mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Namespace"):
            raise ValueError("it is not a Namespace")
        return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise SceneError(path, f"it cannot be read ({error})", "Give the scene with --scene") from error


def read_cameras(path: Path) -> list[Camera]:
    """The cameras of a cameras.json of 3DGS, sorted by name; principal points are the picture's centre unless it tells.

    Raises:
        SceneError: the file is missing or not such a list.
    """
    hint = "Give the folder of the scene with --scene"
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SceneError(path, f"it cannot be read ({error})", hint) from error
    if not isinstance(records, list) or len(records) < 2:
        raise SceneError(path, "it is not a list of at least two cameras", hint)
    try:
        return sorted((_camera(path, record) for record in records), key=lambda camera: camera.name)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, SceneError):
            raise
        raise SceneError(path, f"a camera in it is incomplete ({type(error).__name__}: {error})", hint) from error


def _camera(path: Path, record: dict) -> Camera:
    name, width, height = str(record["img_name"]), int(record["width"]), int(record["height"])
    rotation, position = np.array(record["rotation"], np.float64), np.array(record["position"], np.float64)
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = rotation.T, -rotation.T @ position
    K = pinhole(float(record["fx"]), float(record["fy"]), float(record.get("cx", width / 2)),
                float(record.get("cy", height / 2)))
    viewmat = rigid_viewmat(str(path), name, viewmat)
    K = checked_K(str(path), name, K, width, height)
    return Camera(torch.from_numpy(viewmat).float(), torch.from_numpy(K).float(), width, height, name)


def camera_records(cameras: list[Camera]) -> list[dict]:
    """The inverse of `read_cameras`, for cameras.json; principal points, cx and cy, are for us only."""
    return [{"id": index, "img_name": camera.name, "width": camera.width, "height": camera.height,
             "position": camera.center.tolist(), "rotation": camera.viewmat[:3, :3].T.tolist(),
             "fx": float(camera.K[0, 0]), "fy": float(camera.K[1, 1]),
             "cx": float(camera.K[0, 2]), "cy": float(camera.K[1, 2])} for index, camera in enumerate(cameras)]
