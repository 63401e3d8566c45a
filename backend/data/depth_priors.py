# SPDX-License-Identifier: Apache-2.0
"""Monocular depth of the training photos: what some network believes is nearer (spec training.md 4.3).

Read from the scene's folder `data.depths`, one file a photo, named as the photo is: PNG with 16 (or 8) grey bits, or
.npy with [H, W] numbers, at any resolution of the photo's shape. `data.depth_kind` says what they mean: "inverse"
(disparity, larger = nearer, as Depth Anything gives it) or "depth" (larger = farther, 0 = unknown). Only the order of
depths within a photo counts, so units do not. Without that folder a model computes them (`monocular`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from ..config import DataConfig
from .errors import ImageError, SceneError, listed
from .images import decode, opened
from .monocular import predicted
from .scene import View


def depth_priors(scene: Path, views: Sequence[View], config: DataConfig, device: torch.device | str) -> list[Tensor]:
    """Depth of each view, for its order alone: [h, w] float32 on the CPU, larger = farther, NaN = unknown.

    Args:
        scene: its folder.
        views: training views at full resolution.
        config: where the files are and what they mean, or which model computes them.
        device: where a model runs.

    Raises:
        SceneError: files are missing or of another shape, or there are neither files nor a model.
    """
    folder = scene / config.depths
    if folder.is_dir():
        return [_depth(values, config.depth_kind) for values in _read_all(folder, views)]
    if config.depth_model:
        return [_depth(values, kind) for values, kind in predicted(views, config.depth_model, device)]
    raise SceneError(folder, "loss.depth_order compares with monocular depth, and there is none",
                     "Put a 16-bit PNG or .npy for each photo there, or name a Depth Anything V2 in data.depth_model")


def _depth(values: Tensor, kind: str) -> Tensor:
    """[h, w] numbers of a kind as depth; disparity becomes 1 to 10 as in the reference."""
    values = torch.where(values.isfinite(), values.float(), torch.nan)
    if kind == "depth":
        return torch.where(values > 0, values, torch.nan)
    known = values[~values.isnan()]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    return 1 / (0.1 + 0.9 * (values - low) / max(high - low, 1e-12))


def _read_all(folder: Path, views: Sequence[View]) -> list[Tensor]:
    files = [_find(folder, view.camera.name) for view in views]
    missing = [view.camera.name for view, file in zip(views, files) if file is None]
    if missing:
        raise ImageError(folder, f"{len(missing)} of {len(views)} photos have no depth there: {listed(missing)}",
                         "Add .png or .npy files of the photos' names")
    return [_read(file, view) for file, view in zip(files, views)]


def _find(folder: Path, name: str) -> Path | None:
    """depths/sub/photo.npy or .png for photo sub/photo.jpg; also sub/photo.jpg.npy."""
    bare = str(PurePosixPath(name).with_suffix(""))
    candidates = (folder / f"{stem}{suffix}" for suffix in (".npy", ".png") for stem in (bare, name))
    return next((path for path in candidates if path.is_file()), None)


def _read(path: Path, view: View) -> Tensor:
    """[h, w] float32, no larger than the view."""
    values = _read_npy(path) if path.suffix == ".npy" else _read_png(path)
    if values.ndim != 2 or 0 in values.shape:
        raise ImageError(path, f"its shape is {list(values.shape)}, not rows and columns", "Write one number a pixel")
    height, width = values.shape
    camera = view.camera
    if abs(width * camera.height - height * camera.width) > 0.02 * width * camera.height + max(width, camera.width):
        raise ImageError(path, f"the depth map is {width} x {height} but its photo {camera.width} x {camera.height}: "
                         "another shape", "Compute it from the same photo, uncropped")
    values = torch.from_numpy(values.astype(np.float32))
    return values if height <= camera.height else resized(values, camera.size)


def _read_npy(path: Path) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ImageError(path, f"this is not a readable .npy file ({error})", "Write it again") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise ImageError(path, "it does not hold an array of numbers", "Write it again")
    return values.squeeze()


def _read_png(path: Path) -> np.ndarray:
    with opened(path) as image:
        if image.mode not in ("L", "I") and not image.mode.startswith("I;16"):
            raise ImageError(path, f"it has the mode {image.mode}, not one grey channel",
                             "Write 16-bit grey values, not a coloured picture of them")
        decode(image, path)
        return np.asarray(image)


def resized(values: Tensor, size: tuple[int, int]) -> Tensor:
    """[h, w] at another (height, width), bilinear with aligned corners; unknown where any neighbour is."""
    if tuple(values.shape) == tuple(size):
        return values
    return torch.nn.functional.interpolate(values[None, None], size, mode="bilinear", align_corners=True)[0, 0]
