# SPDX-License-Identifier: Apache-2.0
"""Alignment and the report on photos in the terminal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from milo.backend.alignment.align import align as solve
from milo.backend.alignment.events import Aligned, AlignProgress
from milo.backend.alignment.options import AlignOptions
from milo.backend.alignment.undistort import undistort_scene
from milo.backend.data.photo_files import find_photos
from milo.backend.data.photo_report import as_text


def align(photos: Path, output: Path, options: AlignOptions, masks: Path | None) -> bool:
    """Align with a progress bar and print the report; False if Ctrl-C stopped it."""
    console = Console(highlight=False, soft_wrap=True)
    with _stop_on_interrupt() as stop:
        end = _show(console, solve(photos, output, options, masks=masks, should_stop=stop.is_set))
    if end.stopped:
        console.print(f"Stopped. The same command goes on; what is done is in {output}.", markup=False)
        return False
    console.print(as_text(end.report), markup=False)
    console.print("Seconds: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in end.seconds.items()))
    console.print(f"Scene: {end.scene}", markup=False)
    return True


def undistort(scene: Path, output: Path) -> bool:
    """Undistort with a progress bar; False if Ctrl-C stopped it."""
    console = Console(highlight=False, soft_wrap=True)
    with _stop_on_interrupt() as stop:
        end = _show(console, undistort_scene(scene, output, should_stop=stop.is_set))
    console.print("Stopped." if end.stopped else f"Scene: {end.scene}", markup=False)
    return not end.stopped


def _show(console: Console, events: Iterator[AlignProgress | Aligned]) -> Aligned:
    """Draw progress until the end, and return that."""
    stage = None
    columns = TextColumn("{task.description:12}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}")
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("photos", total=None)
        for event in events:
            if isinstance(event, Aligned):
                return event
            bar.update(task, description=event.stage, completed=event.done, total=event.total)
            if event.stage != stage and not console.is_terminal:
                console.print(f"{event.stage}: {event.total}", markup=False)
            stage = event.stage
    raise RuntimeError("the work ended without saying so")


def report(folder: Path, masks: Path | None, output: Path | None) -> None:
    """Print the report on a folder of photos, and write it as JSON if wanted."""
    from milo.backend.data.posed_report import report_of

    made = report_of(folder, find_photos(folder, masks))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        made.write(output)
    Console(highlight=False, soft_wrap=True).print(as_text(made), markup=False)


@contextmanager
def _stop_on_interrupt():
    """An Event that Ctrl-C or SIGTERM sets."""
    stop = threading.Event()
    previous = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
