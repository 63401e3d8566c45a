# SPDX-License-Identifier: Apache-2.0
"""The jobs that come before a reconstruction: the report on photos, and their alignment. Runners as in worker.py.

The photos of a job lie in scene/, as the client sent them; results go to run/, which a client may fetch, and beside it
what the server answers from (photo_results.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from milo.backend.alignment.align import align, write_report
from milo.backend.alignment.events import Aligned, AlignProgress
from milo.backend.alignment.options import AlignOptions
from milo.protocol.messages import MESSAGES
from milo.protocol.photos import Alignment, SolvedCamera

from .files import write_json
from .job_folder import read_request
from .photo_results import FORMAT


def report_photos(folder: Path, device: str, should_stop: Callable[[], bool]) -> Iterator[AlignProgress | Aligned]:
    """The runner of the task "photos"."""
    from milo.backend.data.photo_files import find_photos
    from milo.backend.data.posed_report import report_of

    photos = find_photos(folder / "scene")
    yield AlignProgress("photos", 0, len(photos))
    report = report_of(folder / "scene", photos, should_stop)
    if not should_stop():
        write_report(folder / "run", report)
    yield Aligned(None, report, {}, stopped=should_stop())


def align_photos(folder: Path, device: str, should_stop: Callable[[], bool]) -> Iterator[AlignProgress | Aligned]:
    """The runner of the task "align": run/ becomes a scene folder."""
    options = AlignOptions.from_settings(read_request(folder).settings)
    for event in align(folder / "scene", folder / "run", options, should_stop=should_stop):
        if isinstance(event, Aligned) and event.solution is not None:
            _keep(folder, event)
        yield event


def _keep(folder: Path, aligned: Aligned) -> None:
    """What alignment.get will answer; alignment.json comes last and makes it whole."""
    found, about = aligned.solution, json.loads((folder / "run" / "alignment.json").read_text("utf-8"))
    cameras = []
    for name, viewmat, K, (width, height) in zip(found.names, found.viewmats, found.Ks, found.sizes):
        mask = Path("run", "masks", name).with_suffix(".png")
        cameras.append(SolvedCamera(
            name, f"run/images/{name}", int(width), int(height), tuple(K.ravel().tolist()),
            (*viewmat.ravel().tolist(), 0.0, 0.0, 0.0, 1.0), mask.as_posix() if (folder / mask).is_file() else ""))
    np.savez(folder / "alignment.npz", points=found.points.astype(np.float32), colors=found.colors)
    message = Alignment("0", tuple(cameras), about["photos"], tuple(about["models"]), about["up_from"],
                        about["ground"], np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))
    write_json(folder / "alignment.json", {"format": FORMAT, **MESSAGES["alignment"].write(message, "alignment")})
