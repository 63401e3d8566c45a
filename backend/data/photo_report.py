# SPDX-License-Identifier: Apache-2.0
"""What a set of photos is worth, before compute time is spent on it: figures of each photo, a verdict, advice.

Without cameras the report knows the photos alone. With cameras (`coverage.py`) it also knows which photos could be
placed, from where the subject was seen, and how much the photos overlap.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .coverage import Coverage
from .errors import ImageError, listed
from .photo_files import PhotoFile, read_upright
from .sharpness import halved, luma, sharpness

FORMAT = 1
LOOK_AT = 1600            # longer side at which photos are judged: what a reconstruction uses by default
BLURRED = 0.55            # of the set's median sharpness; less is blurred
SOFT = 0.12               # sharpness below which a photo is blurred whatever the others are
SMALL_MP = 0.25           # megapixels below which there is little to see
DARK, BRIGHT = 28.0, 232.0   # mean luma, 0..255
CLIPPED = 0.25            # of the pixels without any detail, black or white
STOPS = 2.0               # of light between a photo and the set's median; less may be what the photo shows
GAMMA = 2.2               # of photos: light = luma ** GAMMA
FEWEST = 12               # photos for a subject seen from all sides
PLACED = 0.9              # of the photos; with fewer placed the set is not good
VERDICTS = ("good", "usable", "poor")


@dataclass(frozen=True)
class PhotoFigures:
    """One photo.

    Attributes:
        width, height: upright, pixels.
        sharpness: 0..1 (sharpness.py); brightness: mean luma, 0..255; dark, bright: clipped shares, 0..1; all inside
            its mask where there is one.
        focal_35mm: from EXIF, millimetres, or None.
        registered: whether its camera was found; None before anybody tried.
        problems: sentences without a full stop, worst first; empty for a good photo.
    """

    name: str
    width: int
    height: int
    sharpness: float
    brightness: float
    dark: float
    bright: float
    focal_35mm: float | None = None
    camera: str | None = None
    registered: bool | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class PhotoReport:
    """A set of photos.

    Attributes:
        photos: in the order of their names.
        verdict: "good", "usable" or "poor".
        summary: the verdict in a sentence.
        advice: what to shoot again or what else to do, most useful first.
        coverage: where cameras are known, else None.
        models: photos in each part that the cameras fell into, largest first; empty before alignment.
    """

    photos: tuple[PhotoFigures, ...]
    verdict: str
    summary: str
    advice: tuple[str, ...]
    coverage: Coverage | None = None
    models: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types for a JSON file, with "format": 1."""
        words = [] if self.coverage is None else self.coverage.lines()
        return {"format": FORMAT} | dataclasses.asdict(self) | {"coverage_words": words}

    def write(self, path: Path) -> None:
        part = path.with_name(f".{path.name}")     # somebody may be reading the one that is there
        part.write_text(json.dumps(self.to_dict(), indent=1), encoding="utf-8")
        part.replace(path)


def measure_photos(photos: Iterable[PhotoFile],
                   should_stop: Callable[[], bool] = lambda: False) -> Iterator[PhotoFigures]:
    """The figures of each photo, in order, decoded in parallel."""
    photos = list(photos)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(measure, photo) for photo in photos]
        try:
            for future in futures:
                if should_stop():
                    return
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def measure(photo: PhotoFile) -> PhotoFigures:
    """The figures of one photo; one that cannot be read says so in its problems."""
    try:
        rgb, mask, exif = read_upright(photo)
    except ImageError as error:
        return PhotoFigures(photo.name, 0, 0, 0.0, 0.0, 0.0, 0.0, problems=(error.what,))
    height, width = rgb.shape[:2]
    grey = luma(rgb)
    inside = None if mask is None else (mask > 127).astype(np.float32)
    while max(grey.shape) > LOOK_AT:
        grey, inside = halved(grey), None if inside is None else halved(inside)
    inside = None if inside is None else inside > 0.99
    seen = grey if inside is None or not inside.any() else grey[inside]
    return PhotoFigures(photo.name, width, height, sharpness(grey, inside), float(seen.mean()),
                        float((seen <= 3).mean()), float((seen >= 252).mean()), exif.focal_35mm, exif.camera)


def judge(figures: Iterable[PhotoFigures], registered: set[str] | None = None, coverage: Coverage | None = None,
          models: tuple[int, ...] = ()) -> PhotoReport:
    """The report on measured photos.

    Args:
        registered: names of the photos whose cameras were found, or None before alignment.
        coverage: of those cameras.
        models: photos in each separate part, largest first.
    """
    figures = list(figures)
    readable = [photo for photo in figures if photo.width]
    sharp = float(np.median([photo.sharpness for photo in readable])) if readable else 0.0
    light = float(np.median([photo.brightness for photo in readable])) if readable else 0.0
    judged = [dataclasses.replace(photo, problems=photo.problems or _problems(photo, sharp, light, registered),
                                  registered=None if registered is None else photo.name in registered)
              for photo in figures]
    advice = _advice(judged, coverage, models)
    bad = sum(any(_is_serious(problem) for problem in photo.problems) for photo in judged)
    verdict = _verdict(judged, bad, coverage)
    return PhotoReport(tuple(judged), verdict, _summary(verdict, judged, bad), tuple(advice), coverage, models)


BLURRED_WORDS, UNREGISTERED_WORDS = "blurred", "its camera was not found"


def _problems(photo: PhotoFigures, sharp: float, light: float, registered: set[str] | None) -> tuple[str, ...]:
    problems = []
    if registered is not None and photo.name not in registered:
        problems.append(UNREGISTERED_WORDS)
    if photo.sharpness < max(SOFT, BLURRED * sharp):
        problems.append(BLURRED_WORDS)
    if photo.brightness < DARK:
        problems.append("too dark")
    elif photo.brightness > BRIGHT:
        problems.append("too bright")
    elif GAMMA * abs(np.log2(max(photo.brightness, 1) / max(light, 1))) > STOPS:
        problems.append("darker than the others" if photo.brightness < light else "brighter than the others")
    if photo.bright > CLIPPED:
        problems.append(f"{photo.bright:.0%} of it is blown out")
    if photo.dark > CLIPPED and photo.brightness >= DARK:
        problems.append(f"{photo.dark:.0%} of it is black")
    if photo.width * photo.height < SMALL_MP * 1e6:
        problems.append(f"small: {photo.width} x {photo.height}")
    return tuple(problems)


def _is_serious(problem: str) -> bool:
    return not problem.startswith(("small", "darker", "brighter")) and "of it is" not in problem


def _with(photos: list[PhotoFigures], *words: str) -> list[str]:
    return [photo.name for photo in photos if any(problem.startswith(words) for problem in photo.problems)]


def _advice(photos: list[PhotoFigures], coverage: Coverage | None, models: tuple[int, ...]) -> list[str]:
    advice = []
    damaged = [photo.name for photo in photos if not photo.width]
    if damaged:
        advice.append(f"{_count(damaged)} cannot be read: {listed(damaged)}. Copy or export them again.")
    if len(models) > 1:
        parts = ", ".join(map(str, models[:5]))
        advice.append(f"The photos fall into {len(models)} parts that could not be joined ({parts} photos); only the "
                      f"first is used. Take photos between the parts, in steps of 10 to 15 degrees, of what both show.")
    unplaced = _with(photos, UNREGISTERED_WORDS)
    if unplaced and len(models) <= 1:
        advice.append(f"The cameras of {_count(unplaced)} were not found: {listed(unplaced)}. They share too little "
                      "with the others: take more photos between them and their neighbours.")
    blurred = _with(photos, BLURRED_WORDS)
    if blurred:
        advice.append(f"{_count(blurred)} {_are(blurred)} blurred: {listed(blurred)}. Take them again with a shorter "
                      "exposure or a tripod, or leave them out.")
    dark, bright = _with(photos, "too dark"), _with(photos, "too bright")
    for names, word, what in ((dark, "too dark", "more light or a longer exposure"),
                              (bright, "too bright", "a shorter exposure")):
        if names:
            advice.append(f"{_count(names)} {_are(names)} {word}: {listed(names)}. Take them again with {what}.")
    uneven = _with(photos, "darker", "brighter")
    if uneven:
        advice.append(f"The exposure of {_count(uneven)} differs by more than two stops: {listed(uneven)}. Lock "
                      "exposure and white balance.")
    small = _with(photos, "small")
    if small:
        advice.append(f"{_count(small)} {_are(small)} smaller than {SMALL_MP:g} megapixels: fine detail will be "
                      "missing.")
    if len(photos) < FEWEST:
        advice.append(f"There are only {len(photos)} photos: take at least {FEWEST}, better 40, all around the "
                      "subject.")
    if coverage is not None:
        advice += coverage.advice()
    return advice


def _verdict(photos: list[PhotoFigures], bad: int, coverage: Coverage | None) -> str:
    share = bad / max(1, len(photos))
    weak = coverage is not None and not coverage.is_good
    if len(photos) < 3 or share > 0.4:
        return "poor"
    return "usable" if share > 1 - PLACED or len(photos) < FEWEST or weak else "good"


def _summary(verdict: str, photos: list[PhotoFigures], bad: int) -> str:
    placed = [photo.registered for photo in photos]
    words = {"good": "Good to go", "usable": "Usable, with reservations", "poor": "Not good enough yet"}[verdict]
    found = "" if None in placed or not placed else f"; cameras of {sum(placed)} of {len(placed)} photos were found"
    faults = "none with a fault" if bad == 0 else f"{bad} with a fault"
    return f"{words}: {len(photos)} photos, {faults}{found}."


def _count(names: list[str]) -> str:
    return "1 photo" if len(names) == 1 else f"{len(names)} photos"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def as_text(report: PhotoReport) -> str:
    """The report for a terminal or a text file."""
    lines = [report.summary, *(f"- {sentence}" for sentence in report.advice), ""]
    if report.coverage is not None:
        lines += [*report.coverage.lines(), ""]
    width = max((len(photo.name) for photo in report.photos), default=4)
    lines.append(f"{'photo':{width}}  {'size':>11}  sharp  light  camera  remarks")
    for photo in report.photos:
        camera = {None: "-", True: "yes", False: "no"}[photo.registered]
        lines.append(f"{photo.name:{width}}  {photo.width:5} x{photo.height:5}  {photo.sharpness:5.2f}  "
                     f"{photo.brightness:5.0f}  {camera:6}  {', '.join(photo.problems)}".rstrip())
    return "\n".join(lines) + "\n"
