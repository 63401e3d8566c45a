# SPDX-License-Identifier: Apache-2.0
"""`milo`: photos to mesh from the command line.

torch and everything that needs it are imported inside the commands, so that `milo --help` and `milo serve` start at
once. A wrong input is one sentence on stderr and exit code 2; anything unforeseen is one sentence and exit code 1, with
a traceback under --debug.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated

import typer

from . import cli_animation, cli_photos, cli_results
from .devices import choose_device

app = typer.Typer(
    name="milo",
    help="Photos in, a mesh and its Gaussian splats out (MILo: Mesh-In-the-Loop Gaussian Splatting).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    pass  # --debug is taken out by main(), so that it may stand anywhere; it is declared here for --help


@app.command()
def reconstruct(
    scene: Annotated[Path, typer.Argument(help="Scene folder: images/ with sparse/ (COLMAP), or transforms.json.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run; made if it is not there.")],
    preset: Annotated[list[str] | None, typer.Option(help="One of `milo presets`; repeatable.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    settings: Annotated[list[str] | None, typer.Option("--set", help="One setting: section.key=value.")] = None,
    resume: Annotated[bool, typer.Option("--resume/--fresh", help="Go on from the last checkpoint, or anew.")] = True,
    pictures: Annotated[bool, typer.Option(help="Make the pictures of the finished run.")] = True,
) -> None:
    """Reconstruct a mesh and splats from a scene. Ctrl-C stops it; the same command goes on."""
    from milo.backend.config import load_config
    from milo.backend.data.scene import load_scene

    config, device = load_config(preset or [], settings or []), choose_device(device)
    loaded = load_scene(scene, config.data)   # what is wrong with the input is said before anything else happens

    from . import console

    finished = console.reconstruct(loaded, config, output, device, resume)
    if finished.stopped:
        console.say(f"Stopped, with a checkpoint in {output}. The same command goes on; --fresh starts over.")
        raise typer.Exit(130)
    if pictures:
        from milo.backend.evaluation.run_pictures import make_pictures

        console.say(f"Pictures: {make_pictures(output)}")
    console.summary(finished)


@app.command()
def schedule(
    preset: Annotated[list[str] | None, typer.Option(help="One of `milo presets`; repeatable.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="One setting: section.key=value.")] = None,
    log: Annotated[bool, typer.Option("--log", help="Every event in its turn, not a table.")] = False,
) -> None:
    """Say what a reconstruction would do, and in which iterations. Needs no photos and computes nothing."""
    from milo.backend.config import load_config
    from milo.backend.training import dry_run
    from milo.backend.training.schedule import timeline

    config = load_config(preset or [], settings or [])
    if log:
        typer.echo("\n".join(f"{k:6} {name}" for k, name in timeline(config)))
    else:
        typer.echo(dry_run.report(config))


@app.command()
def presets() -> None:
    """List the presets, each in a sentence."""
    from milo.backend.config import preset_description, preset_names

    typer.echo("\n".join(f"{name:20} {preset_description(name)}" for name in preset_names()))


for command in (cli_photos.photos, cli_photos.align, cli_photos.undistort, cli_photos.scale,
                cli_results.extract, cli_results.render, cli_results.evaluate, cli_results.export, cli_results.finish,
                cli_results.score_tnt, cli_results.score_dtu, cli_animation.render_animation):
    app.command()(command)


@app.command()
def serve(
    home: Annotated[Path | None, typer.Option(help="Folder of keys, jobs and logs; $MILO_HOME or ~/.milo.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0 takes a free one.")] = 0,
    parent: Annotated[int | None, typer.Option(help="End when the process with this id ends.")] = None,
    device: Annotated[list[str] | None, typer.Option(help="auto, cpu or cuda; repeat for a job on each.")] = None,
) -> None:
    """Serve Blender: take scenes, run jobs, stream meshes."""
    from milo.backend.service.server import serve as run_server

    run_server(home, host, port, parent=parent, devices=tuple(device or ["auto"]))


@app.command()
def pair(
    home: Annotated[Path | None, typer.Option(help="Folder of the running backend; $MILO_HOME or ~/.milo.")] = None,
    address: Annotated[str, typer.Option(help="host:port as Blender's computer sees this one, where it differs.")] = "",
) -> None:
    """Print a code that lets a Blender on another computer use the backend that runs on this one."""
    from milo.backend.service.ask import ask_server
    from milo.backend.service.workspace import default_home
    from milo.protocol.pairing import OpenPairing

    opened = ask_server(home or default_home(), OpenPairing(address))
    typer.echo(f"Paste this into Blender. It serves once, for {opened.valid_s / 60:.0f} minutes.\n{opened.code}")


@app.command()
def doctor() -> None:
    """Say what this machine can do, what is missing, and what to do about it."""
    from .doctor import examine, print_findings

    if not print_findings(examine()):
        raise typer.Exit(1)


def explain(error: BaseException) -> tuple[str, int]:
    """One sentence about an error, and the exit code: 2 where the input or the machine is at fault, else 1."""
    from milo.backend.training.errors import TrainingError
    from milo.protocol import ProtocolError

    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = f" at {error.filename}" if error.filename else ""
        return f"The disk is full{where}: free some space and give the same command; it goes on from there.", 2
    if isinstance(error, MemoryError):
        return "Out of memory: use a smaller preset, or --set data.max_width=400.", 2
    if isinstance(error, ProtocolError):
        return f"{error.message} {error.hint}".strip(), 2
    if isinstance(error, TrainingError):
        return str(error), 2
    if isinstance(error, OSError):
        return f"{error.filename or 'System'}: {error.strerror or error}.", 2
    if isinstance(error, ValueError):
        return str(error), 2
    return f"Internal error, {type(error).__name__}: {error} (--debug shows where).", 1


def main(argv: list[str] | None = None) -> None:
    """The console script. Exits the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        app([argument for argument in arguments if argument != "--debug"], prog_name="milo")
    except Exception as error:
        if debug:
            raise
        sentence, code = explain(error)
        sys.stderr.write(f"milo: {sentence}\n")
        sys.exit(code)


if __name__ == "__main__":
    main()
