# SPDX-License-Identifier: Apache-2.0
"""The benchmarks' protocols from files to a report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from milo.backend.config import DataConfig
from milo.backend.data.errors import SceneError
from milo.backend.data.ply import read_mesh, write_mesh
from milo.backend.data.scene import load_scene, read_posed

from . import dtu as dtu_protocol
from . import tanks_and_temples as tnt_protocol
from .curve_plot import plot_curves
from .point_alignment import moved


def tanks_and_temples(mesh: Path, dataset: Path, trajectory: Path, tau: float | None = None,
                      output: Path | None = None) -> dict:
    """`tanks_and_temples.evaluate` with cameras of a .log, .npy or .json, or a scene's folder (in the order of names).

    results.json, curves.png, precision.ply and recall.ply go to `output`, a folder; evaluation/ beside the mesh if
    None.
    """
    if trajectory.is_dir():
        posed = read_posed(trajectory, DataConfig())
        poses = np.linalg.inv(np.stack([image.viewmat for image in posed.images]))
    else:
        poses = tnt_protocol.read_trajectory(trajectory)
    folder = _folder(mesh, output)
    report = tnt_protocol.evaluate(mesh, dataset, poses, tau, clouds=folder)
    title = f"{report['scene']}: F1 {report['legacy']['fscore']:.3f}"
    plot_curves(title, report["tau"], report["curve"]).save(folder / "curves.png")
    return _written(report, folder)


def dtu(mesh: Path, data: Path, scene: Path, scan: int | None = None, output: Path | None = None) -> dict:
    """Cull a mesh by the masks of its scene, bring it into DTU's frame, and measure it.

    results.json, aligned.ply, accuracy.ply and completeness.ply go to `output`, a folder; evaluation/ beside the mesh
    if None.

    Raises:
        SceneError: something cannot be read, or the scene's name does not say which scan it is.
    """
    if scan is None:
        found = re.search(r"scan(\d+)", scene.resolve().name)
        if found is None:
            raise SceneError(scene, "its name does not say which scan it is", "Give the number with --scan")
        scan = int(found[1])
    views = load_scene(scene, DataConfig(holdout=False, resolution=2)).train
    verts, faces, _ = read_mesh(mesh)
    verts = verts.astype(np.float64)
    faces = faces[dtu_protocol.cull(verts, faces, views)]
    used, faces = np.unique(faces, return_inverse=True)
    verts, faces = verts[used], faces.reshape(-1, 3)
    centers = np.stack([view.camera.center.double().numpy() for view in views])
    verts = moved(verts, dtu_protocol.alignment(centers, dtu_protocol.true_centers(data, len(centers))))
    folder = _folder(mesh, output)
    write_mesh(folder / "aligned.ply", verts, faces)
    return _written(dtu_protocol.chamfer(verts, faces, data, scan, clouds=folder), folder)


def _folder(mesh: Path, output: Path | None) -> Path:
    folder = mesh.parent / "evaluation" if output is None else output
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _written(report: dict, folder: Path) -> dict:
    (folder / "results.json").write_text(json.dumps({"format": 1} | report, indent=1) + "\n", encoding="utf-8")
    return report
