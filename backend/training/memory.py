# SPDX-License-Identifier: Apache-2.0
"""How much memory a reconstruction will need (outlook.py), said before it starts, and what to do when it was too
much."""

from __future__ import annotations

import torch

from milo.backend.config import Config
from milo.backend.data.scene import Scene
from milo.backend.machine import GIB, device_memory

from . import outlook
from .errors import TrainingError
from .photo_stream import photo_device, picture_bytes


def estimate(scene: Scene, config: Config, device: str) -> outlook.Need:
    """What a reconstruction of this scene will need on this device."""
    views = scene.train + scene.test
    resident = photo_device(config.data.data_device, views, torch.device(device)) == torch.device(device)
    return outlook.memory(picture_bytes(views) if resident else 0, most_pixels(scene), len(scene.points), config,
                          torch.device(device).type == "cuda")


def most_pixels(scene: Scene) -> int:
    """Of a training photo."""
    return max(view.camera.width * view.camera.height for view in scene.train)


def forecast(scene: Scene, config: Config, device: str) -> str:
    """The estimate as a sentence, with a warning where it is more than there is.

    Raises:
        TrainingError: the photos alone do not fit.
    """
    need, there = estimate(scene, config, device), device_memory(device)
    place = "the GPU" if torch.device(device).type == "cuda" else "this machine"
    words = (f"This takes about {_gib(need.total)} of memory (photos {_gib(need.photos)}, Gaussians "
             f"{_gib(need.splats)}, then the mesh {_gib(need.mesh)})")
    if there is None:
        return words + "."
    free, _ = there
    if need.photos > free:
        raise TrainingError(f"The photos alone take {_gib(need.photos)}, but {place} has {_gib(free)} free. "
                            + ("Set data.data_device=cpu, or m" if place == "the GPU" else "M") +
                            "ake them smaller with data.max_width.")
    if need.total > free:
        return (f"{words}, but {place} has {_gib(free)} free: it may run out. "
                f"{_knobs(config, device, 'mesh' if need.mesh > need.splats else 'splats')}")
    return f"{words}; {place} has {_gib(free)} free."


def is_out_of_memory(error: BaseException) -> bool:
    """True if an allocation has failed, on the GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = str(error).lower().replace("_", " ")
    return isinstance(error, RuntimeError) and any(
        known in words for known in ("out of memory", "can't allocate memory", "not enough memory"))


def out_of_memory(config: Config, device: str, stage: str, iteration: int, saved_at: int) -> TrainingError:
    """What to do after a failed allocation in a stage, in a sentence; saved_at: iteration of the newest checkpoint, or
    -1."""
    there = device_memory(device)
    place = "The GPU" if torch.device(device).type == "cuda" else "This machine"
    size = "" if there is None else f" ({_gib(there[1])})"
    way_on = (f"With such a setting the run goes on from iteration {saved_at}: give the same command, or press Resume."
              if saved_at > 0 else "There is no checkpoint yet, so the run starts anew.")
    return TrainingError(f"{place}{size} ran out of memory in the stage {stage!r}, at iteration {iteration}. "
                         f"{_knobs(config, device, stage)} {way_on}")


def _knobs(config: Config, device: str, stage: str) -> str:
    """The settings that lower the need of a stage, the most useful first."""
    knobs = []
    if stage in ("mesh", "refine", "colours"):
        knobs.append(f"mesh.max_points (now {config.mesh.max_points or 'without limit'})")
    else:
        knobs.append(f"model.max_gaussians (now {config.model.max_gaussians or 'without limit'})")
    if torch.device(device).type == "cuda" and config.data.data_device != "cpu":
        knobs.append("data.data_device=cpu, which keeps the photos outside the GPU")
    knobs.append("data.max_width, which makes them smaller and needs a fresh start")
    return f"Lower {knobs[0]}, or set {', or '.join(knobs[1:])}."


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
