# SPDX-License-Identifier: Apache-2.0
"""How good a run is: PSNR and SSIM of splats and mesh on the held-out views, and the mesh's score against the truth."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from milo.backend.data.ply import read_mesh
from milo.backend.data.scene import View
from milo.backend.rendering.image_metrics import compared, psnr, quantised, ssim

from .color_field import MeshViews, Mode, learn_colors, rendered
from .finished_run import FinishedRun, open_run
from .lpips import Lpips
from .mesh_views import draw_colored, seen_faces
from .score import has_ground_truth, score_surface

FORMAT = 1


class MeshNvs(NamedTuple):
    """How mesh-based novel view synthesis is done (color_field.py)."""

    mode: Mode = "corrected"
    iterations: int = 5000
    resolution: int = 3000


def evaluate_run(path: str | Path, gt: str | Path | None = None, *, scene: str | Path | None = None,
                 samples: int = 200_000, device: str | torch.device = "cpu", meshes: Sequence[str | Path] = (),
                 lpips: Lpips | None = None, nvs: MeshNvs | None = None,
                 on_step: Callable[[int, int], None] = lambda step, of: None) -> dict:
    """Evaluate a finished run and write evaluation.json into its folder.

    Args:
        path: the run's folder.
        gt: folder with gt_mesh.ply and gt_visible.npz; the scene's own if it has them and None is given.
        scene: the scene's folder, if it has moved.
        samples: points drawn on the mesh for its score.
        device: where pictures are drawn.
        meshes: further meshes of the same scene, put beside the run's own.
        lpips: adds its distance to the figures of each view.
        nvs: do mesh-based novel view synthesis too; on_step is called with (step, of) meanwhile.

    Returns:
        {"format", "scene", "gaussians", "vertices", "faces"};
        "views": [{"name", "psnr", "ssim"}] of the splats on the held-out views, and their means "psnr", "ssim" (None
        without any); for a mesh with vertex colours also "mesh_psnr", "mesh_ssim" and "mesh_coverage" (the share of
        pixels that show it), in each view and as means; with lpips "lpips" and "mesh_lpips" too;
        where there is ground truth "score" (`score_surface`) of the mesh, and "score_seen" of the faces that training
        views see, which are what photos can tell of;
        "meshes": the same of each further mesh, without what is the splats';
        "mesh_nvs": {"mode", "iterations", "resolution", "psnr", "ssim", ("lpips")} of the run's mesh.

    Raises:
        SceneError: the run, its scene, a mesh or the ground truth cannot be read.
    """
    run = open_run(path, scene, device)
    truth = gt or (run.scene.path if has_ground_truth(run.scene.path) else None)
    judge = _Judge(run, truth, samples, lpips)
    of_splats = [{"name": view.camera.name} | judge.pictures(view, run.splat_image(view)) for view in run.scene.test]
    mesh, of_mesh = judge.mesh(run.verts, run.faces, run.colors)
    views = [splats | shown for splats, shown in zip(of_splats, of_mesh)]
    report = {"format": FORMAT, "scene": run.scene.name, "gaussians": len(run.splats.means), "views": views,
              "psnr": None, "ssim": None, **_means(of_splats), **mesh}
    if meshes:
        report["meshes"] = [{"mesh": Path(other).name} | judge.mesh(*read_mesh(other))[0] for other in meshes]
    if nvs is not None and run.scene.test:
        report["mesh_nvs"] = nvs._asdict() | _mesh_nvs(run, judge, nvs, on_step)
    partial = run.path / "evaluation.json.partial"
    partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, run.path / "evaluation.json")
    return report


class _Judge:
    """Compares pictures and meshes with what a scene knows."""

    def __init__(self, run: FinishedRun, truth: str | Path | None, samples: int, lpips: Lpips | None):
        self.run, self.truth, self.samples, self.lpips = run, truth, samples, lpips

    def pictures(self, view: View, image: Tensor, prefix: str = "") -> dict[str, float]:
        """Figures of the 8-bit picture of a view."""
        image, target = compared(quantised(image), view, self.run.background, self.run.config.loss.masked)
        figures = {"psnr": psnr(image, target), "ssim": ssim(image, target)}
        if self.lpips is not None:
            figures["lpips"] = self.lpips(image, target)
        return {prefix + key: value for key, value in figures.items()}

    def mesh(self, verts: np.ndarray, faces: np.ndarray, colors: np.ndarray | None) -> tuple[dict, list[dict]]:
        """Figures of a mesh, and of its picture in each held-out view."""
        run, near, device = self.run, self.run.scale.mesh_near, self.run.splats.means.device
        figures: dict = {"vertices": len(verts), "faces": len(faces)}
        views: list[dict] = [{} for _ in run.scene.test]
        on_device = torch.from_numpy(verts).float().to(device), torch.from_numpy(faces).to(device)
        if colors is not None:
            painted = torch.from_numpy(colors).to(device).float() / 255
            for figure, view in zip(views, run.scene.test):
                drawn = draw_colored(*on_device, painted, view.camera, run.background, near=near)
                figure |= self.pictures(view, drawn.image, "mesh_")
                figure["mesh_coverage"] = float(drawn.covered.float().mean())
            figures |= _means(views)
        if self.truth is not None:
            seen = seen_faces(*on_device, [view.camera for view in run.scene.train], near=near).cpu().numpy()
            figures["score"] = score_surface(verts, faces, self.truth, self.samples)
            figures["score_seen"] = score_surface(verts, faces[seen], self.truth, self.samples)
        return figures, views


def _mesh_nvs(run: FinishedRun, judge: _Judge, nvs: MeshNvs, on_step: Callable[[int, int], None]) -> dict[str, float]:
    device = run.splats.means.device
    renderer = MeshViews(torch.from_numpy(run.verts).to(device), torch.from_numpy(run.faces).to(device), run.scale,
                         run.background, nvs.mode)
    field = learn_colors(renderer, run.scene.train, iterations=nvs.iterations, resolution=nvs.resolution,
                         seed=run.config.run.seed, on_step=on_step)
    return _means([judge.pictures(view, rendered(renderer, field, view)) for view in run.scene.test])


def _means(rows: list[dict]) -> dict[str, float]:
    """The mean of each number over the rows."""
    keys = [key for key in rows[0] if key != "name"] if rows else []
    return {key: sum(row[key] for row in rows) / len(rows) for key in keys}
