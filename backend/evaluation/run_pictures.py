# SPDX-License-Identifier: Apache-2.0
"""The pictures of a finished run: each view as photo, splats and mesh, and a contact sheet of them all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from milo.backend.data.ply import read_mesh
from milo.backend.data.scene import View
from milo.backend.rendering.image_metrics import compared, psnr, quantised
from milo.backend.training.snapshots import as_bytes

from .contact_sheet import Cell, contact_sheet, spread
from .finished_run import FinishedRun, open_run
from .mesh_pictures import BACKGROUND, MeshPainter

SHEET_VIEWS = 4
SHEET_STAGES = 6
LARGEST_WIDTH = 800   # pixels of a rendered picture


class StageMesh(NamedTuple):
    """A mesh on the way, for the strip."""

    caption: str
    verts: np.ndarray   # [V, 3] float32
    faces: np.ndarray   # [F, 3] int32


def make_pictures(path: str | Path, *, views: str = "test", scene: str | Path | None = None,
                  output: str | Path | None = None, every_view: bool = False,
                  stages: Sequence[StageMesh] | None = None) -> Path:
    """Write contact_sheet.png, and with `every_view` the single pictures of every view.

    Args:
        path: the run's folder.
        views: "test" or "train"; the training views if none was held out.
        scene: the scene's folder, if it has moved.
        output: folder for the pictures; RUN/pictures if None.
        every_view: also write NAME_photo.png, _splats.png, _mesh.png, _shaded.png and _normals.png.
        stages: meshes on the way; those of RUN/stages if None.

    Returns:
        the contact sheet's path.
    """
    run = open_run(path, scene)
    output = Path(output) if output is not None else run.path / "pictures"
    output.mkdir(parents=True, exist_ok=True)
    chosen = (run.scene.test or run.scene.train) if views == "test" else run.scene.train
    if every_view:
        for view in chosen:
            for kind, picture in pictures_of(run, view).items():
                Image.fromarray(picture).save(output / f"{_file_name(view)}_{kind}.png")
    stages = kept_stages(run.path) if stages is None else list(stages)
    sheet = sheet_of(run, spread(chosen, SHEET_VIEWS), stages)
    sheet.save(output / "contact_sheet.png")
    return output / "contact_sheet.png"


def pictures_of(run: FinishedRun, view: View) -> dict[str, np.ndarray]:
    """What one view sees, by kind: photo, splats, mesh (vertex colours, if any), shaded, normals; [H, W, 3] uint8."""
    painter = painter_of(run, run.verts, run.faces, view)
    background = run.background if view.mask is None else torch.tensor(BACKGROUND)   # as behind the meshes
    pictures = {"photo": as_bytes(view.target(background)), "splats": as_bytes(run.splat_image(view, background))}
    if run.colors is not None:
        pictures["mesh"] = painter.colored(run.colors)
    return pictures | {"shaded": painter.shaded(), "normals": painter.normals()}


def sheet_of(run: FinishedRun, views: Sequence[View], stages: Sequence[StageMesh]) -> Image.Image:
    """The contact sheet: a row per view, and a strip of the mesh at several stages."""
    headings = {"photo": "photo", "splats": "splats", "mesh": "mesh, vertex colours", "shaded": "mesh, shaded",
                "normals": "mesh, normals"}
    rows, kinds = [], []
    for view in views:
        pictures = pictures_of(run, view)
        kinds = list(pictures)
        quality = psnr(*compared(quantised(run.splat_image(view)), view, run.background, run.config.loss.masked))
        captions = {"photo": view.camera.name, "splats": f"{quality:.2f} dB"}
        rows.append([Cell(picture, captions.get(kind, "")) for kind, picture in pictures.items()])
    meshes = spread(list(stages), SHEET_STAGES - 1)
    if meshes:
        meshes.append(StageMesh("final", run.verts, run.faces))
    view = views[len(views) // 3]
    strip = [Cell(painter_of(run, mesh.verts, mesh.faces, view).shaded(),
                  f"{mesh.caption}\n{len(mesh.faces):,} triangles") for mesh in meshes]
    subtitle = f"{len(run.splats.means):,} Gaussians, {len(run.verts):,} vertices, {len(run.faces):,} triangles"
    return contact_sheet(run.scene.name, [headings[kind] for kind in kinds], rows, strip, "The mesh on its way",
                         subtitle)


def painter_of(run: FinishedRun, verts: np.ndarray, faces: np.ndarray, view: View) -> MeshPainter:
    """A mesh as a view of the run sees it, at most LARGEST_WIDTH wide."""
    camera = view.camera
    if camera.width > LARGEST_WIDTH:
        camera = camera.scaled(LARGEST_WIDTH / camera.width)
    return MeshPainter(verts, faces, camera, near=run.scale.mesh_near)


def kept_stages(path: Path) -> list[StageMesh]:
    """The meshes that `milo reconstruct` kept in RUN/stages, in order."""
    stages = []
    for file in sorted((path / "stages").glob("*.ply")):
        iteration, _, kind = file.stem.partition("_")
        verts, faces, _ = read_mesh(file)
        label = f"iteration {int(iteration)}" + (", depth fusion" if kind == "provisional" else "")
        stages.append(StageMesh(label, verts, faces))
    return stages


def _file_name(view: View) -> str:
    return view.camera.name.rsplit(".", 1)[0].replace("/", "_")
