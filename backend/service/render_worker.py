# SPDX-License-Identifier: Apache-2.0
"""The process that draws the splats of one job, or of several together, for as long as somebody looks.

    python -m milo.backend.service.render_worker JOB_FOLDER... --device cpu [--painter module:function]

stdin: render.splats messages of the protocol (pipes.py); stdout: picture or error messages with the same ids. It reads
the newest splats again when they have changed.

A painter is `paint(splats_files, device) -> draw` and `draw(viewmat [4,4], K [3,3], (height, width), background [3],
deformed) -> (image [3,H,W] in 0..1, depth [H,W], alpha [H,W], expected_depth [H,W])`, float32 arrays; deformed is None
or a Deformed. The seam is there for tests.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from milo.protocol import ProtocolError, pack, unpack
from milo.protocol.messages import Error, Picture, RenderSplats
from milo.protocol.surfaces import Pose, Surface

from .blobs import Blobs
from .pipes import read_frames, write_frames

PAINTER = "milo.backend.service.render_worker:paint_gaussians"


class Deformed(NamedTuple):
    """The surface and the pose that splats are to follow, by name, and how to get them if they are new."""

    surface: str
    pose: str
    read_surface: Callable[[], Surface]
    arrays: Pose | None     # None: those that came with the same name before


def paint_gaussians(files: list[Path], device: str) -> Callable:
    """The painter of the product."""
    import torch

    from milo.backend.data.runs import how_drawn
    from milo.backend.devices import choose_device
    from milo.backend.editing.live import LiveSplats
    from milo.backend.gaussians.files import load_gaussians
    from milo.backend.rendering.splats import render_view

    device, how = choose_device(device), drawn_together([how_drawn(file.parent) for file in files])
    splats = [load_gaussians(file).splats().detach() for file in files]
    on_device = splats[0].to(device)
    live = LiveSplats([(one, file.parent / "mesh.ply") for one, file in zip(splats, files)], device)

    def draw(viewmat, K, size, background, deformed):
        tensors = (torch.from_numpy(np.asarray(a, np.float32)).to(device) for a in (viewmat, K, background))
        viewmat, K, background = tensors
        if deformed is None:
            picture = render_view(on_device, viewmat, K, size, background, **how)
        else:
            picture = live.posed(*deformed).picture(viewmat, K, size, background, **how)
        return tuple(tensor.cpu().numpy() for tensor in picture)

    return draw


def drawn_together(ways: list[dict]) -> dict:
    """How reconstructions are drawn in one picture: as the first, with the nearest near plane."""
    nears = [way["near"] for way in ways if "near" in way]
    return ways[0] | ({"near": min(nears)} if nears else {})


def newest_splats(folder: Path) -> Path:
    """The splats of a job: those of its result, else the newest that training has written.

    Raises ProtocolError not_ready if there are none.
    """
    final = folder / "run" / "splats.ply"
    if final.is_file():
        return final
    found = sorted((folder / "run").rglob("*splats*.ply"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ProtocolError("not_ready", "This job has no splats yet.", "Wait until it has saved some.")
    return found[-1]


class Painting:
    """Holds the splats that were read last."""

    def __init__(self, folders: list[Path], device: str, paint: Callable, blobs: Path):
        self.folders, self.device, self.paint, self.blobs = folders, device, paint, blobs
        self._read: list[tuple[Path, int]] = []
        self._draw: Callable | None = None

    def picture(self, request: RenderSplats) -> Picture:
        files = [newest_splats(folder) for folder in self.folders]
        stamps = [(file, file.stat().st_mtime_ns) for file in files]
        if stamps != self._read:
            self._draw, self._read = self.paint(files, self.device), stamps
        image, depth, alpha, expected = self._draw(
            np.array(request.viewmat, np.float32).reshape(4, 4), np.array(request.K, np.float32).reshape(3, 3),
            (request.height, request.width), np.array(request.background, np.float32), self._deformed(request))
        exact = np.nan_to_num(np.concatenate([image, alpha[None]]).transpose(1, 2, 0)).clip(0, 1)
        rgba = np.ascontiguousarray((exact * 255 + 0.5).astype(np.uint8))
        depth = expected if request.depth == "expected" else depth
        return Picture(request.width, request.height, rgba, np.ascontiguousarray(depth, np.float32),
                       np.ascontiguousarray(exact, np.float32) if request.exact else None)

    def _deformed(self, request: RenderSplats) -> Deformed | None:
        if not request.surface:
            return None

        def read_surface() -> Surface:
            file = Blobs(self.blobs).path(request.surface)
            if not file.is_file():
                raise ProtocolError("not_ready", "The surface of these splats has not been sent.", "Send it first.")
            return Surface.read(file)
        arrays = None if request.positions is None else Pose(request.positions, request.matrices)
        return Deformed(request.surface, request.pose, read_surface, arrays)


def answer(painting: Painting, request: RenderSplats) -> Picture | Error:
    try:
        return painting.picture(request)
    except ProtocolError as error:
        return Error(error.code, error.message, error.hint)
    except ValueError as error:
        return Error("bad_request", str(error)[:2000])
    except Exception as error:
        traceback.print_exc()
        return Error("internal", f"The splats could not be drawn: {type(error).__name__}: {str(error)[:300]}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="milo.backend.service.render_worker")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--blobs", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--codec", default="raw")
    parser.add_argument("--painter", default=PAINTER)
    args = parser.parse_args()
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    module, _, name = args.painter.partition(":")
    painting = Painting(args.folders, args.device, getattr(importlib.import_module(module), name), args.blobs)
    while (frames := read_frames(sys.stdin.buffer)) is not None:
        request_id, request = unpack(frames)
        write_frames(pipe, pack(answer(painting, request), request_id, args.codec))
    return 0


if __name__ == "__main__":
    sys.exit(main())
