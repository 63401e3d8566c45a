# SPDX-License-Identifier: Apache-2.0
"""The lines of metrics.jsonl, with losses that come from the GPU when they come: training does not wait for them."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .errors import TrainingError
from .run_directory import RunDirectory

LINES = 50   # written together


class Metrics:
    """Collects lines in their order and writes them in parts."""

    def __init__(self, directory: RunDirectory):
        self.directory = directory
        self._lines: list[dict[str, Any]] = []
        self._coming: deque[_Scalars] = deque()

    def add(self, line: dict[str, Any]) -> None:
        """A line that is complete."""
        self._lines.append(line)

    def add_step(self, line: dict[str, Any], scalars: dict[str, Tensor]) -> None:
        """A line with an "iteration", and its scalars, "loss" among them, which are copied to the host in passing."""
        if len(self._lines) >= LINES:
            self.flush()   # what is under way has been so for many iterations
        self._lines.append(line)
        values = torch.stack([value.detach().float() for value in scalars.values()])
        host, arrived = values, None
        if values.is_cuda:
            host = torch.empty(values.shape, pin_memory=True).copy_(values, non_blocking=True)
            arrived = torch.cuda.current_stream(values.device).record_event()
        self._coming.append(_Scalars(line, list(scalars), host, arrived))

    def newest_loss(self) -> float | None:
        """The last loss that has come since this was asked before, if any.

        Raises:
            TrainingError: it is not a number.
        """
        loss = None
        while self._coming and (self._coming[0].arrived is None or self._coming[0].arrived.query()):
            loss = self._take()
        return loss

    def flush(self) -> None:
        """Write all lines; waits for scalars under way."""
        while self._coming:
            if self._coming[0].arrived is not None:
                self._coming[0].arrived.synchronize()
            self._take()
        self.directory.add_metrics(self._lines)
        self._lines.clear()

    def forget(self) -> None:
        """Drop what has not been written."""
        self._lines.clear()
        self._coming.clear()

    def _take(self) -> float:
        line, names, host, _ = self._coming.popleft()
        line.update(zip(names, host.tolist()))
        if line["loss"] != line["loss"]:
            raise TrainingError(f"The loss is not a number any more at iteration {line['iteration']}. Resume from the "
                                "last checkpoint, with lower learning rates if it happens again.")
        return line["loss"]


class _Scalars(NamedTuple):
    line: dict[str, Any]
    names: list[str]
    host: Tensor                       # [n] on the CPU, valid when arrived
    arrived: torch.cuda.Event | None   # None: at once
