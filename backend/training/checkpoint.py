# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: everything a run needs to go on exactly where it was, in files that hold data only."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import TrainingError, writing

FORMAT = 1


def save_checkpoint(folder: Path, state: dict, keep: int = 2) -> Path:
    """Write `state` (with its "iteration") under the folder; all but the newest `keep` files go.

    The file appears under its name when it is complete, so a kill at any moment leaves the previous one.

    Raises:
        TrainingError: the disk is full or read-only.
    """
    path = folder / f"{state['iteration']:08d}.pt"
    partial = path.with_suffix(".partial")
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "wb") as file:
                torch.save({"format": FORMAT} | state, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        for old in checkpoints(folder)[:-keep]:
            old.unlink()
    return path


class CheckpointWriter:
    """Writes checkpoints beside training, one at a time.

    Args:
        folder: where they go; keep: so many of them stay.
    """

    def __init__(self, folder: Path, keep: int):
        self.folder, self.keep = folder, keep
        self.taken_at = self.saved_at = -1   # iteration of the newest one that was begun, that is complete
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future | None = None

    def save(self, state: dict) -> None:
        """Copy the state as it is now, and begin to write it. Waits for the one before.

        Raises:
            TrainingError: as `save_checkpoint`, of the one before.
        """
        self.wait()
        self._writing = self._thread.submit(save_checkpoint, self.folder, _mapped(state, _copied), self.keep)
        self.taken_at = state["iteration"]

    def check(self) -> None:
        """Raise what went wrong since; waits for nothing."""
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Return when everything is written; raises what went wrong."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()
            self.saved_at = self.taken_at

    def close(self) -> None:
        """Wait for the thread's end. Whoever wants to know how it went has called `wait` before."""
        with suppress(Exception):
            self.wait()
        self._thread.shutdown()


def _copied(tensor: Tensor) -> Tensor:
    """A copy on the CPU: the next iteration changes the original.

    From a GPU into pinned memory, if there is any, which torch keeps for the next time: then it is four times faster.
    """
    copy = None
    with suppress(RuntimeError):
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
    return (torch.empty(tensor.shape, dtype=tensor.dtype) if copy is None else copy).copy_(tensor.detach())


def on_device(state: Any, device: torch.device) -> Any:
    """Plain containers with their tensors on `device`: a run may go on where it did not begin."""
    return _mapped(state, lambda tensor: tensor.to(device))


def _mapped(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Plain containers with each tensor changed."""
    if isinstance(state, Tensor):
        return change(state)
    if isinstance(state, dict):
        return {key: _mapped(value, change) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(_mapped(value, change) for value in state)
    return state


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(path for path in folder.glob("*.pt") if re.fullmatch(r"\d+", path.stem))


def load_newest(folder: Path) -> dict | None:
    """The newest checkpoint that can be read, or None if there is none.

    Raises:
        TrainingError: there are checkpoints, but none can be read.
    """
    found = checkpoints(folder)
    for path in reversed(found):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, MemoryError):
            raise   # the file may be sound: nobody should be told to delete it
        except Exception:   # torch raises whatever a damaged archive leads it to
            continue
        if state.get("format") != FORMAT:
            raise TrainingError(f"{path} has format {state.get('format')!r}; this version of MILo reads {FORMAT}. "
                                "Start the run anew, or use the version that wrote it.")
        return state
    if found:
        raise TrainingError(f"The checkpoints in {folder} are damaged. Delete the folder and start anew.")
    return None
