# SPDX-License-Identifier: GPL-3.0-or-later
"""The course of a training: loss and PSNR over its iterations, from the run's metrics and from what the job tells in
between; and a picture of it. Imports no bpy."""

from __future__ import annotations

import json
import math

import numpy as np

METRICS = "run/metrics.jsonl"
SIZE = (160, 160)  # of the picture, rows and columns
MOST = 4_000  # losses that are kept
LOSS, PSNR = (255, 153, 51, 255), (102, 179, 255, 255)
FRAME = (128, 128, 128, 110)


class Course:
    """Attributes:
    losses, psnrs: {iteration: value}.
    read: bytes of the metrics that have been taken in.
    """

    def __init__(self) -> None:
        self.losses: dict[int, float] = {}
        self.psnrs: dict[int, float] = {}
        self.read = 0

    def add(self, iteration: int, loss: float | None, psnr: float | None) -> None:
        """What a job has told. The PSNR it tells is of some iteration before: the first at which it was told counts."""
        if loss is not None:
            self.losses[iteration] = loss
            self._thin_out()
        if psnr is not None and psnr not in self.psnrs.values():
            self.psnrs[iteration] = psnr

    def take_in(self, data: bytes, offset: int) -> None:
        """Lines of the metrics from byte `offset` on; a last one that is not whole waits for more."""
        if offset != self.read:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.splitlines():
            try:
                entry = json.loads(line)
                iteration = int(entry["iteration"])
            except (ValueError, KeyError, TypeError):
                continue
            for name, values in (("loss", self.losses), ("psnr", self.psnrs)):
                if isinstance(entry.get(name), int | float) and math.isfinite(entry[name]):
                    values[iteration] = float(entry[name])
        self._thin_out()

    def _thin_out(self) -> None:
        while len(self.losses) > MOST:
            self.losses = dict(sorted(self.losses.items())[::2])

    @property
    def state(self) -> tuple[int, int]:
        """Changes when something was added."""
        return len(self.losses), len(self.psnrs)


def picture(course: Course, last: int) -> np.ndarray:
    """Loss (on a logarithmic scale) as a line, PSNR as dots: [H, W, 4] uint8, rows from bottom to top.

    last: iteration at the right edge.
    """
    height, width = SIZE
    image = np.zeros((height, width, 4), np.uint8)
    image[[0, -1]] = image[:, [0, -1]] = FRAME
    if len(course.losses) > 1:
        losses = np.array(sorted(course.losses.items()))
        x = losses[:, 0] / max(last, losses[-1, 0]) * (width - 5) + 2
        columns = np.arange(int(x[0]), int(x[-1]) + 1)
        logs = np.log10(np.maximum(losses[:, 1], 1e-9))
        y = np.interp(columns, x, _smooth(logs))
        _line(image, columns, _rows(y, y.min(), y.max(), height), LOSS)
    psnrs = np.array(sorted(course.psnrs.items())).reshape(-1, 2)
    rows = _rows(psnrs[:, 1], psnrs[:, 1].min(initial=99.0) - 1.0, psnrs[:, 1].max(initial=0.0), height)
    for iteration, row in zip(psnrs[:, 0], rows):
        column = int(min(1.0, iteration / max(last, 1)) * (width - 10)) + 2
        image[row - 2 : row + 4, column : column + 6] = PSNR
    return image


def _smooth(values: np.ndarray, width: int = 5) -> np.ndarray:
    """The running mean: single views are easier or harder."""
    edges = np.pad(values, width // 2, mode="edge")
    return np.convolve(edges, np.full(width, 1 / width), "valid")


def _rows(values: np.ndarray, low: float, high: float, height: int) -> np.ndarray:
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    return np.round(3 + share * (height - 7)).astype(int)


def _line(image: np.ndarray, columns: np.ndarray, rows: np.ndarray, color: tuple) -> None:
    before = np.concatenate([rows[:1], rows[:-1]])
    for column, start, end in zip(columns, np.minimum(before, rows), np.maximum(before, rows)):
        image[max(1, start - 1) : end + 2, column] = color
