# SPDX-License-Identifier: Apache-2.0
"""What the server answers about photos and alignments, from a job's folder, without torch and without COLMAP.

run/photos.json   the report (milo.backend.data.photo_report)
alignment.json    the Alignment message without its arrays
alignment.npz     points, colors
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from milo.protocol.messages import MESSAGES, Nothing
from milo.protocol.photos import Alignment, Photo, PhotoReport

FORMAT = 1


def read_alignment(folder: Path, job: str) -> Alignment | Nothing:
    """The solved cameras of a job, Nothing while there are none."""
    if not (folder / "alignment.json").is_file():
        return Nothing()
    body = json.loads((folder / "alignment.json").read_text("utf-8"))
    body.pop("format")
    fields = MESSAGES["alignment"].fields(body | {"job": job}, "alignment")
    with np.load(folder / "alignment.npz", allow_pickle=False) as arrays:
        return Alignment(**fields, points=arrays["points"], colors=arrays["colors"])


def read_photo_report(folder: Path, job: str) -> PhotoReport | Nothing:
    """The report on a job's photos, Nothing while there is none."""
    path = folder / "run" / "photos.json"
    if not path.is_file():
        return Nothing()
    report = json.loads(path.read_text("utf-8"))
    photos = tuple(Photo(photo["name"], photo["width"], photo["height"], photo["sharpness"], photo["brightness"],
                         photo["registered"], tuple(problem[:200] for problem in photo["problems"][:10]))
                   for photo in report["photos"])
    return PhotoReport(job, report["verdict"], report["summary"],
                       tuple(sentence[:2000] for sentence in report["advice"][:50]),
                       tuple(report["coverage_words"][:50]), photos)
