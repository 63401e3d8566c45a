# SPDX-License-Identifier: Apache-2.0
"""Commands of `milo` on finished runs and splats. torch is imported inside them (cli.py says why)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milo.backend.data.runs import require_run, splats_of

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
    _require(run)
    from milo.backend.evaluation.run_pictures import make_pictures

    from . import console

    console.say(f"Pictures: {make_pictures(run, views=views, scene=scene, output=output, every_view=True)}")


def evaluate(
    run: Run,
    gt: Annotated[Path | None, typer.Option("--gt", help="Scene folder with gt_mesh.ply and gt_visible.npz.")] = None,
    scene: Moved = None,
    samples: Annotated[int, typer.Option(help="Points sampled on the mesh for its score.")] = 200_000,
    meshes: Annotated[list[Path] | None, typer.Option("--mesh", help="Another mesh of the scene; repeatable.")] = None,
    lpips: Annotated[Path | None, typer.Option(help="Folder with the weights of LPIPS.")] = None,
    nvs: Annotated[str | None, typer.Option("--mesh-nvs", help="Learn colours on the mesh: corrected, parity.")] = None,
    nvs_iterations: Annotated[int, typer.Option(help="Steps of --mesh-nvs.")] = 5000,
    nvs_resolution: Annotated[int, typer.Option(help="Of the colour field of --mesh-nvs.")] = 3000,
    page: Annotated[bool, typer.Option(help="Write RUN/report/index.html, with pictures.")] = True,
    device: Device = "auto",
) -> None:
    """PSNR, SSIM and LPIPS of splats and mesh on the held-out views, and the mesh's score against ground truth; writes
    RUN/evaluation.json."""
    _require(run)
    if nvs not in (None, "corrected", "parity"):
        raise ValueError(f"--mesh-nvs {nvs}: choose corrected or parity.")
    device = choose_device(device)
    from milo.backend.evaluation.lpips import WeightsMissing, find_lpips
    from milo.backend.evaluation.page import write_page
    from milo.backend.evaluation.report import MeshNvs, evaluate_run
    from milo.backend.evaluation.tables import print_report

    from . import console

    distance = None
    try:
        distance = find_lpips(lpips)
    except WeightsMissing as missing:
        if lpips is not None:
            raise ValueError(str(missing)) from None
        console.say(str(missing))
    how = None if nvs is None else MeshNvs(nvs, nvs_iterations, nvs_resolution)
    with console.step_bar("colour field") as on_step:
        report = evaluate_run(run, gt, scene=scene, samples=samples, device=device, meshes=meshes or (), lpips=distance,
                              nvs=how, on_step=on_step)
    print_report(report)
    if page:
        console.say(f"Report: {write_page(report, run, scene)}")


def export(
    source: Annotated[Path, typer.Argument(help="Scene folder, or folder of a run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder.")],
    form: Annotated[str, typer.Option("--format", help="colmap, transforms, or 3dgs (of a run).")] = "colmap",
    scene: Moved = None,
) -> None:
    """Write the cameras and photos of a scene, or a run's splats, as other programs read them."""
    from milo.backend.extraction.export import export_as

    from . import console

    console.say(f"Written: {export_as(source, output, form, scene)}")


def finish(
    run: Run,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder; files of an earlier asset are replaced.")],
    triangles: Annotated[int, typer.Option(help="At most, of the finest level.")] = 20_000,
    texture: Annotated[int, typer.Option(help="Side of the textures, texels.")] = 2048,
    levels: Annotated[int, typer.Option(help="Levels of detail, each with a quarter of the triangles.")] = 1,
    source: Annotated[str, typer.Option(help="What colours are taken from: photos or splats.")] = "photos",
    scale: Annotated[float, typer.Option(help="Metres that a unit of the scene is.")] = 1.0,
    up: Annotated[str, typer.Option(help="Axis of the scene that is up: x, -x, y, -y, z, -z.")] = "z",
    origin: Annotated[str, typer.Option(help="keep, base (below the middle) or center.")] = "keep",
    normal_map: Annotated[bool, typer.Option(help="Keep the relief of the full mesh in a normal map.")] = True,
    balance: Annotated[bool, typer.Option(help="Make photos of different exposure equally bright.")] = False,
    scene: Moved = None,
    device: Device = "auto",
) -> None:
    """Make an asset of a run: clean, light, with UVs, colour and normal textures; GLB, OBJ, PLY, and splats as PLY and
    SPZ. Ctrl-C stops it."""
    require_run(run, splats_of(run).name, "mesh.ply")
    device = choose_device(device)
    from milo.backend.finishing.finish import FinishingStopped
    from milo.backend.finishing.finish import finish as finish_run
    from milo.backend.finishing.options import FinishOptions

    from . import console

    options = FinishOptions(triangles, texture, levels, source, scale, up, origin, normal_map, balance)
    try:
        with console.stop_on_interrupt("Stopping; the asset stays unfinished.") as stop, \
                console.extraction_bar() as on_step:
            done = finish_run(run, output, options, scene=scene, device=device, on_step=on_step,
                              should_stop=stop.is_set)
    except FinishingStopped:
        raise typer.Exit(130) from None
    console.asset_table(done.report)
    if done.report["source"] != source:
        console.say("The photos cannot be read: the texture was made from the splats, seen from the photos' cameras. "
                    "If the photos have only moved, give the folder of their scene with --scene.")
    console.say(f"Asset: {done.folder}")


def score_tnt(
    mesh: Annotated[Path, typer.Argument(help="Mesh to score, PLY.")],
    dataset: Annotated[Path, typer.Option("--data", help="Folder of the scene: SCENE.ply, SCENE.json, ...")],
    trajectory: Annotated[Path, typer.Option(help="Cameras of the reconstruction: .log, .npy, .json (sdfstudio), or a "
                                                  "scene folder.")],
    tau: Annotated[float | None, typer.Option(help="Threshold, metres; the scene's own if not given.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder; evaluation/ beside the mesh.")] = None,
) -> None:
    """Score a mesh by the protocol of Tanks and Temples: precision, recall and F1."""
    from milo.backend.evaluation.protocols import tanks_and_temples

    from . import console

    report = tanks_and_temples(mesh, dataset, trajectory, tau, output)
    for name, words in (("legacy", "as published"), ("uniform", "points drawn uniformly")):
        row = report[name]
        console.say(f"{report['scene']}, tau {report['tau']} m, {words}: precision {row['precision']:.4f}  recall "
                    f"{row['recall']:.4f}  F1 {row['fscore']:.4f}")


def score_dtu(
    mesh: Annotated[Path, typer.Argument(help="Mesh to score, PLY, in the scene's frame.")],
    data: Annotated[Path, typer.Option("--data", help="DTU's folder: ObsMask/, Points/, Calibration/.")],
    scene: Annotated[Path, typer.Option(help="Scene folder, with masks; scanNN.")],
    scan: Annotated[int | None, typer.Option(help="Number of the scan; from the scene's name if not given.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder; evaluation/ beside the mesh.")] = None,
) -> None:
    """Score a mesh by the protocol of DTU: Chamfer distance, in millimetres."""
    from milo.backend.evaluation.protocols import dtu

    from . import console

    report = dtu(mesh, data, scene, scan, output)
    console.say(f"scan {report['scan']}: accuracy {report['mean_d2s']:.3f} mm  completeness "
                f"{report['mean_s2d']:.3f} mm  Chamfer {report['overall']:.3f} mm")


def _require(run: Path) -> None:
    """Refuse what is neither a run nor a folder of 3DGS before anything heavy is imported."""
    if not (run / "point_cloud").is_dir():
        require_run(run)
