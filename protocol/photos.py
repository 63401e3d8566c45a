# SPDX-License-Identifier: Apache-2.0
"""What is said about photos that have no cameras yet: the report on them, and the cameras that were solved.

Both are results of a job (`job.start` with task "photos" or "align"). The report of an alignment is there as soon as
the photos have been looked at, and once more, with what was registered, at its end.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from .arrays import Array
from .errors import bad
from .fields import Count, Figure, ImageSide, JobId, Matrix3, Matrix4, Path, Sentence, message
from .limits import MAX_ADVICE, MAX_COUNT, MAX_PROBLEMS, MAX_SCENE_CAMERAS, MAX_SCENE_FILES
from .schema import Choice, Flag, Integer, List, Maybe, Record, Text

VERDICTS = ("good", "usable", "poor")
UP_FROM = ("ground", "cameras", "photos")


@message("photos.get")
@dataclass(frozen=True, slots=True)
class GetPhotoReport:
    """The report on a job's photos. Answer: PhotoReport, or Nothing while there is none yet."""
    job: JobId


@message("alignment.get")
@dataclass(frozen=True, slots=True)
class GetAlignment:
    """The cameras that a job has solved. Answer: Alignment, or Nothing while there are none yet."""
    job: JobId


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo; `registered` is None before anybody tried to find its camera."""
    name: Path
    width: Count                    # upright, pixels; 0 for a file that cannot be read
    height: Count
    sharpness: Figure               # 0..1
    brightness: Figure              # mean, 0..255
    registered: Annotated[bool | None, Maybe(Flag())] = None
    problems: Annotated[tuple[str, ...], List(Text(200), MAX_PROBLEMS)] = ()


@message("photos.report")
@dataclass(frozen=True, slots=True)
class PhotoReport:
    job: JobId
    verdict: Annotated[str, Choice(VERDICTS)]
    summary: Sentence
    advice: Annotated[tuple[str, ...], List(Text(2000), MAX_ADVICE)]      # what to shoot again, most useful first
    coverage: Annotated[tuple[str, ...], List(Text(400), MAX_ADVICE)]     # figures in words, once cameras are known
    photos: Annotated[tuple[Photo, ...], List(Record(Photo), MAX_SCENE_FILES)]


@dataclass(frozen=True, slots=True)
class SolvedCamera:
    """A camera of an undistorted photo; the paths are those of file.get, mask "" where there is none."""
    name: Path
    image: Path
    width: ImageSide
    height: ImageSide
    K: Matrix3
    viewmat: Matrix4
    mask: Annotated[str, Text(400)] = ""


@message("alignment")
@dataclass(frozen=True, slots=True)
class Alignment:
    """Solved cameras and sparse points, Z up. The unit is arbitrary until somebody knows a distance."""
    job: JobId
    cameras: Annotated[tuple[SolvedCamera, ...], List(Record(SolvedCamera), MAX_SCENE_CAMERAS)]
    photos: Count                   # that there were
    models: Annotated[tuple[int, ...], List(Integer(0, MAX_COUNT), 100)]   # photos of each part; the first is used
    up_from: Annotated[str, Choice(UP_FROM)]
    ground: Annotated[bool, Flag()]                                  # whether z = 0 is a ground that was found
    points: Annotated[np.ndarray, Array("float32", (None, 3))]
    colors: Annotated[np.ndarray, Array("uint8", (None, 3))]         # sRGB

    def check(self):
        if len(self.points) != len(self.colors):
            raise bad("alignment", f"{len(self.colors)} colours for {len(self.points)} points")
        if not np.isfinite(self.points).all():
            raise bad("alignment", "a point is not finite")
