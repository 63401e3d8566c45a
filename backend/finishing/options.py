# SPDX-License-Identifier: Apache-2.0
"""What a finishing may be told."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from .placement import placement

SOURCES = ("photos", "splats")


@dataclass(frozen=True)
class FinishOptions:
    """What the asset shall be.

    Attributes:
        triangles: at most, of the finest level.
        texture: side of its textures, texels.
        levels: levels of detail; each has a quarter of the triangles, and half the side of the textures, of the last.
        source: what colours are taken from: "photos", or "splats" as the training cameras see them.
        scale: metres that a unit of the scene is; up, origin: see `placement`.
        normal_map: whether the relief of the full mesh is kept in a normal map.
        balance: whether photos are made equally bright where they show the same, for those of a camera that chose the
            exposure of each by itself.
    """

    triangles: int = 20_000
    texture: int = 2048
    levels: int = 1
    source: str = "photos"
    scale: float = 1.0
    up: str = "z"
    origin: str = "keep"
    normal_map: bool = True
    balance: bool = False

    def __post_init__(self):
        if self.source not in SOURCES:
            raise ValueError(f"--source {self.source}: choose {' or '.join(SOURCES)}.")
        for name, least, most in (("triangles", 4, 10_000_000), ("texture", 16, 16_384), ("levels", 1, 8)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"--{name} {getattr(self, name)}: give a number from {least} to {most:,}.")
        placement(np.zeros((1, 3)), self.scale, self.up, self.origin)

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> FinishOptions:
        """The options of settings "finish.name": value.

        Raises:
            ValueError: an unknown name, or a value of another type or out of its bounds.
        """
        known = {field.name: type(field.default) for field in dataclasses.fields(cls)}
        values = {}
        for key, value in settings.items():
            section, _, name = key.partition(".")
            if section != "finish" or name not in known:
                raise ValueError(f"{key}: there is no such setting of a finishing. There are: "
                                 f"{', '.join(f'finish.{name}' for name in known)}.")
            if known[name] is float and type(value) is int:
                value = float(value)
            if type(value) is not known[name]:
                raise ValueError(f"{key}: {value!r} is not of type {known[name].__name__}.")
            values[name] = value
        return cls(**values)
