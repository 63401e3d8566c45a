# SPDX-License-Identifier: Apache-2.0
"""Commands of `milo` on finished runs and splats. torch is imported inside them (cli.py says why)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milo.backend.data.runs import require_run

from .devices import choose_device

Run = Annotated[Path, typer.Argument(help="Folder of a run, as `milo reconstruct -o` made it.")]
Moved = Annotated[Path | None, typer.Option("--scene", help="Scene folder, if it has moved since the run.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="One setting: section.key=value.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
METHODS = "learned, depth_fusion, integration, tsdf or dtu"


def extract(
    splats: Annotated[Path, typer.Argument(help="Folder of a run, ours or of 3DGS, or a splat PLY.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The mesh; RUN/mesh.ply if not given.")] = None,
    scene: Annotated[Path | None, typer.Option(help="Scene folder, or a cameras.json of 3DGS.")] = None,
    method: Annotated[str | None, typer.Option(help=f"{METHODS}; as the run if not given.")] = None,
    settings: Settings = None,
    device: Device = "auto",
) -> None:
    """Extract a mesh from splats: those of a run again, or any that 3DGS has made. Ctrl-C stops it."""
    device = choose_device(device)
    from milo.backend.extraction.extract import ExtractionStopped
    from milo.backend.extraction.extract import extract as extract_mesh

    from . import console

    overrides = [*(settings or []), *([f"extract.method={method}"] if method else [])]
    try:
        with console.stop_on_interrupt("Stopping; there will be no mesh.") as stop, console.extraction_bar() as on_step:
            path = extract_mesh(splats, output, overrides, scene=scene, device=device, on_step=on_step,
                                should_stop=stop.is_set)
    except ExtractionStopped:
        raise typer.Exit(130) from None
    console.say(f"Mesh: {path}")


def render(
    run: Run,
    views: Annotated[str, typer.Option(help="test or train.")] = "test",
    scene: Moved = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder; RUN/pictures if not given.")] = None,
) -> None:
    """Render a run: splats, shaded mesh and normals of every view, and a contact sheet."""
    if views not in ("test", "train"):
        raise ValueError(f"--views {views}: choose test or train.")
    require_run(run)
    from milo.backend.evaluation.run_pictures import make_pictures

    from . import console

    console.say(f"Pictures: {make_pictures(run, views=views, scene=scene, output=output, every_view=True)}")


def evaluate(
    run: Run,
    gt: Annotated[Path | None, typer.Option("--gt", help="Scene folder with gt_mesh.ply and gt_visible.npz.")] = None,
    scene: Moved = None,
    samples: Annotated[int, typer.Option(help="Points sampled on the mesh for its score.")] = 200_000,
    device: Device = "auto",
) -> None:
    """PSNR and SSIM of splats and mesh on the held-out views, and the mesh's score against ground truth; writes
    RUN/evaluation.json."""
    require_run(run)
    from milo.backend.evaluation.report import evaluate_run, print_report

    print_report(evaluate_run(run, gt, scene=scene, samples=samples, device=choose_device(device)))
