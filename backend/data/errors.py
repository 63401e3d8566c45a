# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a scene on disk, said in one sentence at the door.

Every error carries `where` (the file or folder), `what` (what is wrong with it) and `hint` (what to do), so that the
command line and Blender's panel can show them apart. `str(error)` is all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike


class SceneError(ValueError):
    """A scene that cannot be loaded.

    Args:
        where: file or folder at fault.
        what: what is wrong, a sentence without its full stop.
        hint: what to do about it, a sentence without its full stop.
    """

    def __init__(self, where: str | PathLike, what: str, hint: str = ""):
        self.where, self.what, self.hint = str(where), what, hint
        super().__init__(f"{where}: {what}." + (f" {hint}." if hint else ""))


class CameraModelError(SceneError):
    """A camera that is not an undistorted pinhole."""


class PoseError(SceneError):
    """A camera pose that is not a finite rigid motion."""


class ImageError(SceneError):
    """A photo or mask that is missing, unreadable or of the wrong size."""


class PointsError(SceneError):
    """Initial points that are missing or not finite."""


class PlyError(SceneError):
    """A PLY file that is not what it should be."""


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first few names as a phrase: 'a, b, c and 4 more'."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
