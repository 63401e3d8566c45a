# SPDX-License-Identifier: Apache-2.0
"""The process that draws the splats of one job, for as long as somebody looks.

    python -m milo.backend.service.render_worker JOB_FOLDER --device cpu [--painter module:function]

stdin: render.splats messages of the protocol (pipes.py); stdout: picture or error messages with the same ids. It reads
the newest splats again when they have changed.

A painter is `paint(splats_file, device) -> draw` and `draw(viewmat [4,4], K [3,3], (height, width), background [3])
-> (image [3,H,W] in 0..1, depth [H,W], alpha [H,W])`, float32 arrays. The seam is there for tests.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

from milo.protocol import ProtocolError, pack, unpack
from milo.protocol.messages import Error, Picture, RenderSplats

from .pipes import read_frames, write_frames

PAINTER = "milo.backend.service.render_worker:paint_gaussians"


def paint_gaussians(file: Path, device: str) -> Callable:
    """The painter of the product."""
    import torch

    from milo.backend.data.runs import how_drawn
    from milo.backend.devices import choose_device
    from milo.backend.gaussians.files import load_gaussians
    from milo.backend.rendering.splats import render_view

    device, how = choose_device(device), how_drawn(file.parent)
    splats = load_gaussians(file).splats().detach().to(device)

    def draw(viewmat, K, size, background):
        tensors = (torch.from_numpy(np.asarray(a, np.float32)).to(device) for a in (viewmat, K, background))
        viewmat, K, background = tensors
        return tuple(tensor.cpu().numpy() for tensor in render_view(splats, viewmat, K, size, background, **how))

    return draw


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

    def __init__(self, folder: Path, device: str, paint: Callable):
        self.folder, self.device, self.paint = folder, device, paint
        self._read: tuple[Path, int] | None = None
        self._draw: Callable | None = None

    def picture(self, request: RenderSplats) -> Picture:
        file = newest_splats(self.folder)
        stamp = (file, file.stat().st_mtime_ns)
        if stamp != self._read:
            self._draw, self._read = self.paint(file, self.device), stamp
        image, depth, alpha = self._draw(np.array(request.viewmat, np.float32).reshape(4, 4),
                                         np.array(request.K, np.float32).reshape(3, 3),
                                         (request.height, request.width), np.array(request.background, np.float32))
        rgba = np.concatenate([image, alpha[None]]).transpose(1, 2, 0)
        rgba = np.ascontiguousarray((np.nan_to_num(rgba).clip(0, 1) * 255 + 0.5).astype(np.uint8))
        return Picture(request.width, request.height, rgba, np.ascontiguousarray(depth, np.float32))


def answer(painting: Painting, request: RenderSplats) -> Picture | Error:
    try:
        return painting.picture(request)
    except ProtocolError as error:
        return Error(error.code, error.message, error.hint)
    except Exception as error:
        traceback.print_exc()
        return Error("internal", f"The splats could not be drawn: {type(error).__name__}: {str(error)[:300]}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="milo.backend.service.render_worker")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--codec", default="raw")
    parser.add_argument("--painter", default=PAINTER)
    args = parser.parse_args()
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    module, _, name = args.painter.partition(":")
    painting = Painting(args.folder, args.device, getattr(importlib.import_module(module), name))
    while (frames := read_frames(sys.stdin.buffer)) is not None:
        request_id, request = unpack(frames)
        write_frames(pipe, pack(answer(painting, request), request_id, args.codec))
    return 0


if __name__ == "__main__":
    sys.exit(main())
