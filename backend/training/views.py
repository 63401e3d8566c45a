# SPDX-License-Identifier: Apache-2.0
"""The training views at both resolutions, drawn without replacement (spec training.md 1.8)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from milo.backend.data.cameras import Camera
from milo.backend.data.scene import View

from .photo_stream import PhotoStream


class ViewStack:
    """Views in random order, epoch by epoch.

    Args:
        views: training views; their uid is their index.
        flush: begin a new epoch when the resolution changes; else the old one is used up first (Q5).
        generator: draws.
        device: where drawn views shall have their pictures.
    """

    def __init__(self, views: Sequence[View], flush: bool, generator: torch.Generator,
                 device: str | torch.device = "cpu"):
        self.full, self.flush, self.generator = list(views), flush, generator
        self.stream = PhotoStream(torch.device(device))
        self.order: list[int] = []
        self.order_is_half = False

    @cached_property
    def half(self) -> list[View]:
        """The same views at half resolution."""
        return [view.half() for view in self.full]

    def at(self, half: bool) -> list[View]:
        """All views at one resolution."""
        return self.half if half else self.full

    def draw(self, half: bool) -> View:
        """The next view of the epoch."""
        if not self.order or (self.flush and half != self.order_is_half):
            self.order = torch.randperm(len(self.full), generator=self.generator).tolist()
            self.order_is_half = half
        views = self.at(self.order_is_half)
        return self.stream.take(views[self.order.pop()], views[self.order[-1]] if self.order else None)

    def state_dict(self) -> dict:
        """What is left of the epoch."""
        return {"order": list(self.order), "half": self.order_is_half}

    def load_state_dict(self, state: dict) -> None:
        """Inverse of state_dict."""
        self.order, self.order_is_half = list(state["order"]), state["half"]


def stacked(cameras: Sequence[Camera]) -> tuple[Tensor, Tensor, Tensor]:
    """viewmats [C, 4, 4], Ks [C, 3, 3] and sizes [C, 2] (h, w) of cameras."""
    return (torch.stack([camera.viewmat for camera in cameras]), torch.stack([camera.K for camera in cameras]),
            torch.tensor([camera.size for camera in cameras], device=cameras[0].K.device))
