# SPDX-License-Identifier: Apache-2.0
"""What an alignment tells whoever watches: a stream of these two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:      # the service imports this module and shall start at once
    from milo.backend.data.photo_report import PhotoReport

    from .models import Solution


@dataclass(frozen=True, slots=True)
class AlignProgress:
    """A step of work. Stages: frames (of a video), photos, features, matching, mapping, undistortion."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Aligned:
    """The end.

    Attributes:
        scene: the folder that was written; None if it was stopped.
        report: of the photos, with what alignment found; None if it was stopped.
        seconds: by stage.
        stopped: broken off; the same call goes on where it was.
        solution: the scene's cameras and points.
    """

    scene: Path | None
    report: PhotoReport | None
    seconds: dict[str, float]
    stopped: bool = False
    solution: Solution | None = None
