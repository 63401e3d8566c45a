# SPDX-License-Identifier: Apache-2.0
"""Where the photos live while Gaussians train on a GPU: with them, or in the machine's memory and sent one ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from milo.backend.data.scene import View

LARGEST_SHARE = 0.25   # of the GPU's free memory that photos may take before they stay outside


def picture_bytes(views: Sequence[View]) -> int:
    """Bytes of photos and masks, and of their halves in size."""
    pixels = sum(view.camera.width * view.camera.height * (3 if view.mask is None else 4) for view in views)
    return pixels + pixels // 4


def photo_device(setting: str, views: Sequence[View], device: torch.device) -> torch.device:
    """Where photos shall live.

    Args:
        setting: `data.data_device` of the configuration: "auto", "cuda" or "cpu".
        views: all that will be needed.
        device: where the Gaussians live.
    """
    if device.type == "cpu" or setting == "cpu":
        return torch.device("cpu")
    if setting == "auto" and picture_bytes(views) > LARGEST_SHARE * torch.cuda.mem_get_info(device)[0]:
        return torch.device("cpu")
    return device


class PhotoStream:
    """Hands out views with their pictures on the device of the Gaussians.

    Pictures in pinned memory travel as bytes on a stream of their own, those of the following view while this one is
    worked on; nothing waits on the host. Pictures that are there already, and all on the CPU, are handed out as they
    are.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._coming: _OnItsWay | None = None

    def take(self, view: View, following: View | None) -> View:
        """`view` on the device; `following` is sent ahead if it is known."""
        if self._stream is None or view.image.is_cuda:
            return view
        coming = self._coming if self._coming and self._coming.source is view else self._send(view)
        current = torch.cuda.current_stream(self.device)
        current.wait_event(coming.arrived)
        for picture in (coming.view.image, coming.view.mask):
            if picture is not None:
                picture.record_stream(current)   # its memory is the copy stream's, but is used here
        self._coming = None if following is None else self._send(following)
        return coming.view

    def _send(self, view: View) -> _OnItsWay:
        with torch.cuda.stream(self._stream):
            return _OnItsWay(view, view.to(self.device), self._stream.record_event())


class _OnItsWay(NamedTuple):
    source: View
    view: View
    arrived: torch.cuda.Event
