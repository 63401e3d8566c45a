# SPDX-License-Identifier: Apache-2.0
"""The commands for photos that have no cameras yet: align, photos, scale. They need no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def align(
    photos: Annotated[Path, typer.Argument(help="Folder of photos (masks/ in it is used), or a video.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Scene folder to write, for `milo reconstruct`.")],
    masks: Annotated[Path | None, typer.Option(help="Folder of masks, if not masks/ beside the photos.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="One setting: align.features=8192.")] = None,
) -> None:
    """Solve the cameras of photos or a video: a scene with undistorted photos, Z up. Ctrl-C stops; again goes on."""
    from milo.backend.alignment.options import AlignOptions
    from milo.backend.config import parse_settings

    from . import console_photos

    options = AlignOptions.from_settings(parse_settings(settings or []))
    if not console_photos.align(photos, output, options, masks):
        raise typer.Exit(130)


def undistort(
    scene: Annotated[Path, typer.Argument(help="Scene folder with a COLMAP model of distorted cameras.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Scene folder to write, for `milo reconstruct`.")],
) -> None:
    """Take lens distortion out of a COLMAP scene: photos, masks and cameras. Its frame and size stay."""
    from . import console_photos

    if not console_photos.undistort(scene, output):
        raise typer.Exit(130)


def photos(
    folder: Annotated[Path, typer.Argument(help="Folder of photos, or a scene with solved cameras.")],
    masks: Annotated[Path | None, typer.Option(help="Folder of masks, if not masks/ beside the photos.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report as JSON here.")] = None,
) -> None:
    """Say what a set of photos is worth before time is spent on it: sharpness, exposure, coverage, what to redo."""
    from . import console_photos

    console_photos.report(folder, masks, output)


def scale(
    scene: Annotated[Path, typer.Argument(help="Scene folder, as `milo align` made it.")],
    start: Annotated[str, typer.Option("--from", help="A point of the scene: x,y,z.")],
    end: Annotated[str, typer.Option("--to", help="Another point: x,y,z.")],
    distance: Annotated[float, typer.Option(help="Their true distance, metres.")],
) -> None:
    """Give an aligned scene its true size, from the known distance of two points in it."""
    from milo.backend.alignment.scale import scale_scene

    factor = scale_scene(scene, _point("--from", start), _point("--to", end), distance)
    typer.echo(f"{scene} is now in metres (times {factor:.6g}).")


def _point(option: str, text: str) -> tuple[float, ...]:
    try:
        point = tuple(float(number) for number in text.split(","))
    except ValueError:
        point = ()
    if len(point) != 3:
        raise ValueError(f"{option} {text}: three numbers with commas are needed, such as 0.1,0.2,0.3.")
    return point
