# SPDX-License-Identifier: Apache-2.0
"""Pictures of a saved animation: an animation.npz of deformed surfaces (milo.protocol.surfaces), without Blender."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from milo.backend.data.runs import how_drawn, require_run, splats_of
from milo.protocol.surfaces import Animation, Frame

from .binding import Source
from .deform import Follower
from .runs import source_of

FORMAT = 1
BACKGROUNDS = {"black": 0.0, "white": 1.0, "transparent": 0.0}


class FrameDone(NamedTuple):
    """A picture that is there now; drawn: by us, else by an earlier start."""

    done: int
    of: int
    path: Path
    drawn: bool


def render_animation(runs: dict[int, Path], file: Path, output: Path, *, background: str = "black",
                     device: str = "cpu", resume: bool = True,
                     should_stop: Callable[[], bool] = lambda: False) -> Iterator[FrameDone]:
    """Draw every frame as OUTPUT/frame_NNNN.png, and say so one by one.

    Args:
        runs: folders of runs, or of splats that a .blend has stored, by their number in the animation, 1 for that of
            a single one.
        file: the animation.
        background: "black", "white" or "transparent".
        resume: leave out frames that an earlier start with the same inputs has drawn.
        should_stop: asked before each frame.

    Raises:
        ProtocolError: the file is damaged. SceneError: a run is not complete. ValueError: the animation does
            not go with the runs.
    """
    if background not in BACKGROUNDS:
        raise ValueError(f"background {background}: choose {', '.join(BACKGROUNDS)}.")
    for run in runs.values():
        require_run(run, splats_of(run).name, "mesh.ply")
    with Animation(file) as animation:
        paths = [output / f"frame_{number:04d}.png" for number in animation.numbers]
        kept = _same_as_before(output, _inputs(runs, file, background)) and resume
        player = None
        for at, path in enumerate(paths):
            if kept and path.is_file():
                yield FrameDone(at + 1, len(paths), path, False)
                continue
            if should_stop():
                return
            if player is None:
                sources = {number: source_of(splats_of(run), run / "mesh.ply") for number, run in runs.items()}
                player = Player(sources, device, how_drawn(runs[min(runs)]))
            save_picture(path, player.rgba(animation[at], animation.size, background))
            yield FrameDone(at + 1, len(paths), path, True)


class Player:
    """Draws frames; binds again only where the surface is another."""

    def __init__(self, sources: dict[int, Source], device: str, how: dict):
        self.sources, self.device, self.how = sources, device, how
        self._follower: tuple[str, Follower] | None = None

    def rgba(self, frame: Frame, size: tuple[int, int], background: str) -> np.ndarray:
        """[H, W, 4] uint8 with straight alpha, or [H, W, 3] over a background."""
        if self._follower is None or self._follower[0] != frame.surface.hash:
            self._follower = frame.surface.hash, Follower(self.sources, frame.surface, frame.pose, self.device)
        viewmat, K = (torch.from_numpy(np.array(matrix, np.float32)).to(self.device)
                      for matrix in (frame.viewmat, frame.K))
        behind = torch.full((3,), BACKGROUNDS[background], device=self.device)
        picture = self._follower[1].pose(frame.pose).picture(viewmat, K, size, behind, **self.how)
        image = picture.image
        if background == "transparent":
            alpha = picture.alpha[None]
            image = torch.cat([(image / alpha.clamp_min(1e-6)).clamp(0, 1) * (alpha > 0), alpha])
        return (image.permute(1, 2, 0) * 255 + 0.5).clamp(0, 255).byte().cpu().numpy()


def save_picture(path: Path, pixels: np.ndarray) -> None:
    """Write a PNG; it appears under its name when it is complete."""
    partial = path.with_name(path.name + ".partial")
    try:
        Image.fromarray(pixels).save(partial, format="PNG", compress_level=3)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _inputs(runs: dict[int, Path], file: Path, background: str) -> dict:
    """What pictures are made of, to tell whether those in a folder are of the same."""
    def stamp(path: Path) -> list:
        status = path.stat()
        return [path.name, status.st_size, status.st_mtime_ns]
    return {"format": FORMAT, "animation": stamp(file), "background": background,
            "runs": {str(number): [stamp(path) for path in (splats_of(run), run / "mesh.ply")]
                     for number, run in sorted(runs.items())}}


def _same_as_before(output: Path, inputs: dict) -> bool:
    """Whether the pictures in a folder are of these inputs; from now on they are."""
    output.mkdir(parents=True, exist_ok=True)
    record = output / "animation.json"
    try:
        same = json.loads(record.read_text("utf-8")) == inputs
    except (OSError, ValueError):
        same = False
    if not same:
        for picture in output.glob("frame_*.png"):
            picture.unlink()
        record.write_text(json.dumps(inputs, indent=1), "utf-8")
    return same
