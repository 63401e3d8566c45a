# SPDX-License-Identifier: Apache-2.0
"""How good a run is: PSNR and SSIM on the held-out views, and the mesh's score against ground truth."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rich.console import Console
from rich.table import Table

from milo.backend.rendering.image_metrics import psnr, quantised, ssim

from .finished_run import open_run
from .score import TAUS, has_ground_truth, score_mesh

FORMAT = 1


def evaluate_run(path: str | Path, gt: str | Path | None = None, *, scene: str | Path | None = None,
                 samples: int = 200_000) -> dict:
    """Evaluate a finished run and write evaluation.json into its folder.

    Args:
        path: the run's folder.
        gt: folder with gt_mesh.ply and gt_visible.npz; the scene's own if it has them and None is given.
        scene: the scene's folder, if it has moved.
        samples: points drawn on the mesh for its score.

    Returns:
        {"format", "scene", "gaussians", "vertices", "faces", "views": [{"name", "psnr", "ssim"}], "psnr", "ssim"} with
        means over the held-out views (None without any), and "score" (`score_mesh`) where there is ground truth.

    Raises:
        SceneError: the run, its scene or the ground truth cannot be read.
    """
    run = open_run(path, scene)
    views = []
    for view in run.scene.test:
        image, target = quantised(run.splat_image(view)), view.target(run.background)
        views.append({"name": view.camera.name, "psnr": psnr(image, target), "ssim": ssim(image, target)})
    report = {
        "format": FORMAT,
        "scene": run.scene.name,
        "gaussians": len(run.splats.means),
        "vertices": len(run.verts),
        "faces": len(run.faces),
        "views": views,
        "psnr": _mean([view["psnr"] for view in views]),
        "ssim": _mean([view["ssim"] for view in views]),
    }
    truth = gt or (run.scene.path if has_ground_truth(run.scene.path) else None)
    if truth is not None:
        report["score"] = score_mesh(run.path / "mesh.ply", truth, samples)
    partial = run.path / "evaluation.json.partial"
    partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, run.path / "evaluation.json")
    return report


def print_report(report: dict, console: Console | None = None) -> None:
    """Tables of a report of `evaluate_run`."""
    console = console or Console(highlight=False)
    console.print(f"{report['scene']}: {report['gaussians']:,} Gaussians, mesh of {report['vertices']:,} vertices and "
                  f"{report['faces']:,} triangles")
    if report["views"]:
        table = Table("held-out view", "PSNR, dB", "SSIM")
        for view in report["views"]:
            table.add_row(view["name"], f"{view['psnr']:.2f}", f"{view['ssim']:.4f}")
        table.add_section()
        table.add_row("mean", f"{report['psnr']:.2f}", f"{report['ssim']:.4f}")
        console.print(table)
    else:
        console.print("No view was held out, so there is nothing to compare pictures with.")
    if "score" in report:
        table = Table("tau, of the diagonal", "precision", "recall", "F-score")
        for tau in TAUS:
            row = report["score"][f"tau {tau}"]
            table.add_row(f"{tau}", *(f"{row[key]:.4f}" for key in ("precision", "recall", "fscore")))
        console.print(table)
        console.print(f"Chamfer distance, of the diagonal: {report['score']['chamfer']:.5f}")


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
