# SPDX-License-Identifier: Apache-2.0
"""What a reconstruction would take, asked before it is started."""

from dataclasses import dataclass, field
from typing import Annotated

from .fields import Count, Figure, ImageSide, message
from .jobs import Presets, Settings
from .limits import MAX_SCENE_FILES
from .schema import Flag, Integer, Number


@message("job.estimate")
@dataclass(frozen=True, slots=True)
class EstimateJob:
    """How long, and how much memory? Answer: Estimate; Error not_ready while the backend does not know its device."""
    photos: Annotated[int, Integer(1, MAX_SCENE_FILES)]
    width: ImageSide                # of a typical photo's file, pixels
    height: ImageSide
    points: Count = 0               # that are known to be there
    preset: Presets = ()
    settings: Settings = field(default_factory=dict)


@message("estimate")
@dataclass(frozen=True, slots=True)
class Estimate:
    """Right within a factor of two or so."""
    seconds: Annotated[float, Number(0.0)]
    memory: Count                   # bytes at the most, on the device
    available: Figure               # bytes that the device has, None if unknown
    width: ImageSide                # at which photos will be used
    height: ImageSide
    measured: Annotated[bool, Flag()]   # whether finished runs of this device have corrected the time
