# SPDX-License-Identifier: Apache-2.0
"""The command of `milo` for animated splats. torch is imported inside it (cli.py says why)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .devices import choose_device


def render_animation(
    run: Annotated[Path, typer.Argument(help="Folder of the run, or of the splats stored beside the .blend.")],
    animation: Annotated[Path, typer.Argument(help="The file that Blender has saved (Save Animation for Rendering).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the pictures, frame_NNNN.png.")],
    more: Annotated[list[str] | None, typer.Option("--run", help="A further run, as NUMBER=FOLDER.")] = None,
    background: Annotated[str, typer.Option(help="black, white or transparent.")] = "black",
    resume: Annotated[bool, typer.Option("--resume/--fresh", help="Keep pictures that are there, or anew.")] = True,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Render the splats of a saved animation, without Blender. Ctrl-C stops it; the same command goes on."""
    runs = {1: run}
    for text in more or []:
        number, equals, folder = text.partition("=")
        if not (equals and number.isdecimal() and int(number) > 0):
            raise ValueError(f"--run {text}: give NUMBER=FOLDER, such as 2=other/run.")
        runs[int(number)] = Path(folder)
    if not animation.is_file():
        raise ValueError(f"{animation}: there is no such file. Save it in Blender: Save Animation for Rendering.")
    device = choose_device(device)
    from milo.backend.editing.animation import render_animation as render

    from . import console

    last = None
    with console.stop_on_interrupt("Stopping after this frame.") as stop, console.step_bar("frames") as on_step:
        for last in render(runs, animation, output, background=background, device=device, resume=resume,
                           should_stop=stop.is_set):
            on_step(last.done, last.of)
    if stop.is_set() and (last is None or last.done < last.of):
        console.say(f"Stopped; the pictures so far are in {output}. The same command goes on; --fresh starts over.")
        raise typer.Exit(130)
    console.say(f"Pictures: {output} ({last.of if last else 0} frames)")
