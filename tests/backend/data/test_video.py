# SPDX-License-Identifier: Apache-2.0
"""Frames from a video: evenly spread, and the sharp ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter

from milo.backend.data.errors import SceneError
from milo.backend.data.video import extract_frames

FRAMES, SHARP_EVERY = 40, 5


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Blurred frames whose grey level grows with time, and every fifth one sharp."""
    path = tmp_path_factory.mktemp("video") / "walk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (160, 120))
    rng = np.random.default_rng(0)
    for i in range(FRAMES):
        frame = Image.fromarray((rng.integers(0, 100, (120, 160, 3)) + 3 * i).astype(np.uint8))
        if i % SHARP_EVERY != 2:
            frame = frame.filter(ImageFilter.GaussianBlur(2))
        writer.write(np.asarray(frame)[..., ::-1])
    writer.release()
    return path


def test_the_sharpest_frame_of_each_stretch_is_taken(video, tmp_path):
    steps = list(extract_frames(video, tmp_path, FRAMES // SHARP_EVERY))
    assert steps[-1] == (FRAMES, FRAMES)
    frames = [np.asarray(Image.open(path)).astype(float) for path in sorted(tmp_path.iterdir())]
    assert len(frames) == FRAMES // SHARP_EVERY
    for i, frame in enumerate(frames):
        assert frame.shape == (120, 160, 3) and frame.std() > 20                        # a sharp one
        assert frame.mean() == pytest.approx(49.5 + 3 * (SHARP_EVERY * i + 2), abs=4)    # of its own stretch


def test_a_short_video_gives_all_its_frames(video, tmp_path):
    list(extract_frames(video, tmp_path, 1000))
    assert len(list(tmp_path.iterdir())) == FRAMES


def test_stopping_and_what_is_no_video(video, tmp_path):
    assert list(extract_frames(video, tmp_path / "a", 5, lambda: True)) == []
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(SceneError, match="not a video"):
        list(extract_frames(tmp_path / "text.mp4", tmp_path / "b", 5))
