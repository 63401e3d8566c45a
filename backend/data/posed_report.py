# SPDX-License-Identifier: Apache-2.0
"""The report on a folder of photos, with coverage where the folder is a scene with solved cameras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from .camera_set import is_camera_set, read_camera_set
from .colmap import read_colmap
from .coverage import measure_coverage
from .photo_files import PhotoFile
from .photo_report import PhotoReport, judge, measure_photos
from .posed import PosedImages
from .transforms import is_transforms, read_transforms


def report_of(folder: Path, photos: list[PhotoFile], should_stop: Callable[[], bool] = lambda: False) -> PhotoReport:
    """The report on `photos` of `folder`.

    Raises:
        SceneError: the folder's cameras cannot be read.
    """
    figures = list(measure_photos(photos, should_stop))
    posed = _posed(folder)
    if posed is None or len(posed.images) < 3:
        return judge(figures)
    names = [image.name for image in posed.images]
    coverage = measure_coverage(names, np.stack([image.viewmat for image in posed.images]), in_view(posed))
    return judge(figures, set(names), coverage)


def _posed(folder: Path) -> PosedImages | None:
    if (folder / "sparse").is_dir():
        return read_colmap(folder)
    if is_transforms(folder):
        return read_transforms(folder)
    return read_camera_set(folder) if is_camera_set(folder) else None


def in_view(posed: PosedImages, most: int = 2000) -> np.ndarray:
    """[C, C] points in the frames of two photos, whatever hides them: an upper bound of what both see."""
    points = posed.points[:: max(1, len(posed.points) // most)]
    inside = np.zeros((len(posed.images), len(points)), bool)
    for row, image in enumerate(posed.images):
        local = points @ image.viewmat[:3, :3].T + image.viewmat[:3, 3]
        x, y, w = (local @ image.K.T).T
        depth = np.maximum(w, 1e-12)
        inside[row] = (w > 0) & (x >= 0) & (x < image.width * depth) & (y >= 0) & (y < image.height * depth)
    return inside.astype(np.int64) @ inside.T.astype(np.int64)
