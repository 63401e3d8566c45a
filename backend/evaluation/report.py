# SPDX-License-Identifier: Apache-2.0
"""How good a run is: PSNR and SSIM of splats and mesh on the held-out views, and the mesh's score against the truth."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from milo.backend.data.scene import View
from milo.backend.rendering.image_metrics import compared, psnr, quantised, ssim

from .finished_run import FinishedRun, open_run
from .mesh_views import draw_colored, seen_faces
from .score import TAUS, has_ground_truth, score_surface

FORMAT = 1


def evaluate_run(path: str | Path, gt: str | Path | None = None, *, scene: str | Path | None = None,
                 samples: int = 200_000, device: str | torch.device = "cpu") -> dict:
    """Evaluate a finished run and write evaluation.json into its folder.

    Args:
        path: the run's folder.
        gt: folder with gt_mesh.ply and gt_visible.npz; the scene's own if it has them and None is given.
        scene: the scene's folder, if it has moved.
        samples: points drawn on the mesh for its score.
        device: where pictures are drawn.

    Returns:
        {"format", "scene", "gaussians", "vertices", "faces"};
        "views": [{"name", "psnr", "ssim"}] of the splats on the held-out views, and their means "psnr", "ssim" (None
        without any); for a mesh with vertex colours also "mesh_psnr", "mesh_ssim" and "mesh_coverage" (the share of
        pixels that show it), in each view and as means;
        where there is ground truth "score" (`score_surface`) of the mesh, and "score_seen" of the faces that training
        views see, which are what photos can tell of.

    Raises:
        SceneError: the run, its scene or the ground truth cannot be read.
    """
    run = open_run(path, scene, device)
    mesh = _mesh_of(run)
    views = [{"name": view.camera.name, **_compared(run, mesh, view)} for view in run.scene.test]
    means = {key: _mean([view[key] for view in views]) for key in _keys(mesh)}
    report = {"format": FORMAT, "scene": run.scene.name, "gaussians": len(run.splats.means),
              "vertices": len(run.verts), "faces": len(run.faces), "views": views, **means}
    truth = gt or (run.scene.path if has_ground_truth(run.scene.path) else None)
    if truth is not None:
        verts, faces, _ = mesh
        seen = seen_faces(verts, faces, [view.camera for view in run.scene.train], near=run.scale.mesh_near)
        report["score"] = score_surface(run.verts, run.faces, truth, samples)
        report["score_seen"] = score_surface(run.verts, run.faces[seen.cpu().numpy()], truth, samples)
    partial = run.path / "evaluation.json.partial"
    partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, run.path / "evaluation.json")
    return report


def _mesh_of(run: FinishedRun) -> tuple[Tensor, Tensor, Tensor | None]:
    """verts, faces and colours in [0, 1] (None without), where the run's splats are."""
    device = run.splats.means.device
    colors = None if run.colors is None else torch.from_numpy(run.colors).to(device).float() / 255
    return torch.from_numpy(run.verts).to(device), torch.from_numpy(run.faces).to(device), colors


def _keys(mesh: tuple) -> tuple[str, ...]:
    return ("psnr", "ssim") if mesh[2] is None else ("psnr", "ssim", "mesh_psnr", "mesh_ssim", "mesh_coverage")


def _compared(run: FinishedRun, mesh: tuple, view: View) -> dict[str, float]:
    """Figures of one view, of 8-bit pictures."""
    masked = run.config.loss.masked
    splats, target = compared(quantised(run.splat_image(view)), view, run.background, masked)
    figures = [psnr(splats, target), ssim(splats, target)]
    if mesh[2] is not None:
        drawn = draw_colored(*mesh, view.camera, run.background, near=run.scale.mesh_near)
        image, target = compared(quantised(drawn.image), view, run.background, masked)
        figures += [psnr(image, target), ssim(image, target), float(drawn.covered.float().mean())]
    return dict(zip(_keys(mesh), figures))


def print_report(report: dict, console: Console | None = None) -> None:
    """Tables of a report of `evaluate_run`."""
    console = console or Console(highlight=False)
    console.print(f"{report['scene']}: {report['gaussians']:,} Gaussians, mesh of {report['vertices']:,} vertices and "
                  f"{report['faces']:,} triangles")
    if report["views"]:
        headings = {"psnr": "PSNR, dB", "ssim": "SSIM", "mesh_psnr": "mesh, PSNR", "mesh_ssim": "SSIM",
                    "mesh_coverage": "coverage"}
        keys = [key for key in headings if key in report]
        table = Table("held-out view", *(headings[key] for key in keys))
        for view in [*report["views"], report | {"name": "mean"}]:
            table.add_row(view["name"], *(f"{view[key]:.{2 if 'psnr' in key else 4}f}" for key in keys),
                          end_section=view is report["views"][-1])
        console.print(table)
    else:
        console.print("No view was held out, so there is nothing to compare pictures with.")
    for key, words in (("score", "mesh"), ("score_seen", "what training views see of it")):
        if key in report:
            table = Table(f"{words}: tau, of the diagonal", "precision", "recall", "F-score")
            for tau in TAUS:
                row = report[key][f"tau {tau}"]
                table.add_row(f"{tau}", *(f"{row[name]:.4f}" for name in ("precision", "recall", "fscore")))
            console.print(table)
            console.print(f"Chamfer distance, of the diagonal: {report[key]['chamfer']:.5f}")


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
