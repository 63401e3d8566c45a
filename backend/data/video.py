# SPDX-License-Identifier: Apache-2.0
"""Photos from a video: the sharpest frame of each stretch of it. The only module that imports OpenCV."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from .errors import SceneError
from .sharpness import halved, luma, sharpness

LOOK_WIDTH = 960         # pixels at which frames are compared


def extract_frames(video: Path, folder: Path, count: int,
                   should_stop: Callable[[], bool] = lambda: False) -> Iterator[tuple[int, int]]:
    """Write the `count` best frames of a video as folder/frame_00001.jpg and so on; yields (frames seen, in all).

    The video is cut into `count` stretches of equal length, and the sharpest frame of each is taken: neighbours overlap
    evenly, and shaken frames are passed over. Rotation flags of phones are respected.

    Raises:
        SceneError: OpenCV is not installed, or the video cannot be decoded.
    """
    try:
        import cv2
    except ImportError:
        raise SceneError(video, "videos need OpenCV, which is not installed",
                         "Install it: pip install 'milo-blender[align]'; or save frames as photos") from None
    folder.mkdir(parents=True, exist_ok=True)
    total = _frame_count(cv2, video)
    if total < count:
        count = total
    reader = cv2.VideoCapture(str(video))
    best, best_score, taken = None, -1.0, 0
    try:
        for index in range(total):
            if should_stop():
                return
            there, frame = reader.read()
            if not there:
                break
            score = frame_sharpness(frame[..., ::-1])
            if score > best_score:
                best, best_score = frame[..., ::-1], score
            if (index + 1) * count // total > taken and best is not None:
                taken += 1
                Image.fromarray(np.ascontiguousarray(best)).save(folder / f"frame_{taken:05d}.jpg", quality=95,
                                                                 subsampling=0)
                best, best_score = None, -1.0
            yield index + 1, total
    finally:
        reader.release()
    if taken == 0:
        raise SceneError(video, "no frame of it can be decoded", "Convert it to MP4 (H.264), or save frames as photos")


def frame_sharpness(rgb: np.ndarray) -> float:
    """Sharpness of a frame at a size at which frames can be compared quickly."""
    grey = luma(rgb)
    while grey.shape[1] > LOOK_WIDTH:
        grey = halved(grey)
    return sharpness(grey)


def _frame_count(cv2, video: Path) -> int:
    """Frames that can be decoded; containers may be wrong about it, so they are counted where it is cheap."""
    reader = cv2.VideoCapture(str(video))
    try:
        if not reader.isOpened():
            raise SceneError(video, "this is not a video that can be decoded",
                             "Convert it to MP4 (H.264), or save frames as photos")
        count = 0
        while reader.grab():
            count += 1
        return count
    finally:
        reader.release()
