# SPDX-License-Identifier: Apache-2.0
"""What an alignment may be told."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from milo.backend.data.errors import SceneError

EXHAUSTIVE_UP_TO = 120   # photos; above it every photo is matched with its neighbours in the order of names
CAMERA_MODELS = ("SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE", "PINHOLE")


@dataclass(frozen=True)
class AlignOptions:
    """How cameras are solved.

    Attributes:
        features: most features of a photo.
        max_size: longer side at which features are looked for, pixels; larger photos are scaled down for it.
        matching: "auto" matches all pairs up to 120 photos, else neighbours in the order of names and, for loops, some
            far ones; "exhaustive" and "sequential" choose.
        overlap: neighbours of a photo in sequential matching.
        camera_model: of COLMAP; estimated, then removed by undistortion.
        one_camera: all photos come from one camera with one focal length. None: as sizes and EXIF data say.
        frames: photos to take from a video.
        max_points: of the sparse points written, the best seen ones; 0 = all.
        threads: CPU threads, 0 = all cores.
        seed: of everything drawn at random.
    """

    features: int = 3000
    max_size: int = 1600
    matching: Literal["auto", "exhaustive", "sequential"] = "auto"
    overlap: int = 10
    camera_model: str = "SIMPLE_RADIAL"
    one_camera: bool | None = None
    frames: int = 100
    max_points: int = 200_000
    threads: int = 0
    seed: int = 0

    def __post_init__(self):
        for name, low, high in (("features", 256, 65_536), ("max_size", 200, 20_000), ("overlap", 1, 1000),
                                ("frames", 3, 5000), ("max_points", 0, 10**9), ("threads", 0, 1024)):
            if not low <= getattr(self, name) <= high:
                raise AlignError(f"align.{name}", f"{getattr(self, name)} is not from {low} to {high}", "Change it")
        if self.matching not in ("auto", "exhaustive", "sequential"):
            raise AlignError("align.matching", f"there is no matching {self.matching!r}",
                             "Choose auto, exhaustive or sequential")
        if self.camera_model not in CAMERA_MODELS:
            raise AlignError("align.camera_model", f"there is no camera model {self.camera_model!r}",
                             f"Choose one of {', '.join(CAMERA_MODELS)}")

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> AlignOptions:
        """The options of settings "align.name": value.

        Raises:
            AlignError: an unknown name, or a value of another type or out of its bounds.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        values = {}
        for key, value in settings.items():
            section, _, name = key.partition(".")
            if section != "align" or name not in known:
                raise AlignError(key, "there is no such setting of an alignment",
                                 f"There are: {', '.join(f'align.{name}' for name in known)}")
            wanted = (bool, type(None)) if name == "one_camera" else (type(known[name].default),)
            if type(value) not in wanted:
                raise AlignError(key, f"{value!r} is not of type {wanted[0].__name__}", "Correct it")
            values[name] = value
        return cls(**values)


class AlignError(SceneError):
    """An alignment that cannot be done; `where`, `what` and `hint` as in every SceneError."""
