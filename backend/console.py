# SPDX-License-Identifier: Apache-2.0
"""A reconstruction in the terminal: a progress bar over its events, Ctrl-C, and the closing table."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from milo.backend.config import Config
from milo.backend.data.ply import write_mesh
from milo.backend.data.scene import Scene
from milo.backend.extraction.steps import ExtractStep
from milo.backend.training.events import Finished, Notice, Snapshot
from milo.backend.training.events import Progress as Step
from milo.backend.training.reconstruct import reconstruct as train
from milo.backend.training.run_directory import RunDirectory


def say(text: str) -> None:
    """A line for the user, on stdout."""
    Console(highlight=False, soft_wrap=True).print(text, markup=False)


def reconstruct(scene: Scene, config: Config, run_dir: Path, device: str, resume: bool) -> Finished:
    """Run a reconstruction with a progress bar; the first Ctrl-C stops it after a checkpoint.

    Meshes on the way are kept in `run_dir`/stages.
    """
    console = Console(highlight=False)
    say(f"{scene.name}: {len(scene.train)} training and {len(scene.test)} test views of "
        f"{scene.train[0].camera.width} x {scene.train[0].camera.height}, {len(scene.points):,} points; on {device}.")
    for note in scene.notes:
        say(note)
    finished = None
    with stop_on_interrupt() as stop, _bar(console) as bar:
        task = bar.add_task("loading", total=None, numbers="")
        stage = None
        events = train(scene, config, run_dir, device=device, should_stop=stop.is_set, resume=resume)
        for event in events:
            if isinstance(event, Step):
                bar.update(task, description=event.stage, completed=event.iteration, total=event.iterations,
                           numbers=numbers(event))
                if event.stage != stage and not console.is_terminal:
                    say(f"{event.stage}: iteration {event.iteration} of {event.iterations}  {numbers(event)}")
                stage = event.stage
            elif isinstance(event, Notice):
                say(event.text)
            elif isinstance(event, Snapshot):
                keep_stage(run_dir, event)
            elif isinstance(event, Finished):
                finished = event
    if finished is None:
        raise RuntimeError("training ended without saying that it finished")
    return finished


@contextmanager
def extraction_bar():
    """A progress bar for the steps of an extraction; yields what to call with each ExtractStep."""
    with _bar(Console(highlight=False)) as bar:
        task = bar.add_task("loading", total=None, numbers="")

        def on_step(step: ExtractStep) -> None:
            loss = "" if step.loss is None else f"loss {step.loss:.4f}  "
            bar.update(task, description=step.stage, completed=step.iteration, total=step.iterations,
                       numbers=loss + (f"{step.vertices:,} vertices" if step.vertices else ""))

        yield on_step


@contextmanager
def step_bar(name: str):
    """A progress bar that appears with the first step; yields what to call with (step, of)."""
    with _bar(Console(highlight=False)) as bar:
        task = bar.add_task(name, total=None, numbers="", visible=False)
        yield lambda step, of: bar.update(task, completed=step, total=of, visible=True)


def numbers(step: Step) -> str:
    """Loss, Gaussians, vertices, PSNR and time left, as far as they are known."""
    parts = []
    if step.loss is not None:
        parts.append(f"loss {step.loss:.4f}")
    if step.gaussians:
        parts.append(f"{step.gaussians:,} Gaussians")
    if step.vertices:
        parts.append(f"{step.vertices:,} vertices")
    if step.psnr is not None:
        parts.append(f"{step.psnr:.2f} dB")
    if step.eta_s is not None:
        parts.append(f"{duration(step.eta_s)} left")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as 42 s, 3:05 or 1:02:03."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def keep_stage(run_dir: Path, snapshot: Snapshot) -> None:
    """Keep a mesh on the way as stages/NNNNNN_kind.ply."""
    if snapshot.kind == "final":
        return
    folder = RunDirectory(run_dir).stages
    folder.mkdir(exist_ok=True)
    write_mesh(folder / f"{snapshot.iteration:06d}_{snapshot.kind}.ply", snapshot.verts, snapshot.faces,
               snapshot.colors)


def summary(finished: Finished) -> None:
    """The closing table: what was written, how good it is, how long it took."""
    table = Table(show_header=False, box=None)
    table.add_row("mesh", str(finished.mesh))
    table.add_row("splats", str(finished.splats))
    if finished.psnr is not None:
        table.add_row("PSNR, held-out views", f"{finished.psnr:.2f} dB")
    for stage, seconds in finished.seconds.items():
        table.add_row(f"time, {stage}", duration(seconds))
    Console(highlight=False).print(table)


def asset_table(report: dict) -> None:
    """Triangles, and how well the textured levels show the held-out views beside the full mesh in vertex colours."""
    table = Table("mesh", "triangles", "texture", "PSNR, held-out views", box=None)
    rows = [("full, vertex colours", report["full"]["triangles"], "", report["full"]),
            *((level["name"], level["triangles"], str(level["texture"]), level) for level in report["levels"])]
    for name, triangles, texture, figures in rows:
        table.add_row(name, f"{triangles:,}", texture, f"{figures['psnr']:.2f} dB" if "psnr" in figures else "")
    Console(highlight=False).print(table)


@contextmanager
def stop_on_interrupt(words: str = "Stopping after a checkpoint."):
    """An Event that the first Ctrl-C (or SIGTERM) sets, saying `words`; a second Ctrl-C interrupts at once."""
    stop = threading.Event()

    def on_signal(number, frame):
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say(f"{words} Ctrl-C again to stop at once.")

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description:8}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}" if console.is_terminal else ""),
        TextColumn("{task.fields[numbers]}"),
        console=console,
        disable=not console.is_terminal,
        refresh_per_second=5,
    )
