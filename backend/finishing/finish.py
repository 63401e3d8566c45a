# SPDX-License-Identifier: Apache-2.0
"""From a run to an asset: light, textured, with a place, in files that other programs open."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from milo.backend.data.errors import SceneError
from milo.backend.data.ply import write_mesh, write_splats
from milo.backend.data.runs import splats_of
from milo.backend.data.scene import View
from milo.backend.data.splat_folder import latest_splats
from milo.backend.data.spz import write_spz
from milo.backend.evaluation.finished_run import FinishedRun, open_run
from milo.backend.evaluation.mesh_views import seen_faces
from milo.backend.extraction.steps import ExtractStep
from milo.backend.gaussians.files import drawn_columns, read_columns
from milo.protocol.assets import AssetMesh

from .asset import Asset, png
from .bake import Photo, bake_colors
from .clean import clean, evened
from .comparison import comparison, full_image, textured_image, view_psnr
from .decimate import Mesh, decimate
from .exposure import photo_gains
from .glb import write_glb
from .normal_map import bake_normals
from .obj import write_obj
from .options import FinishOptions
from .placement import Placement, moved_splats, placement
from .texels import picture, texels_of
from .unwrap import Charted, unwrap, vertex_normals

FORMAT = 1
LESS = 4        # times fewer triangles from one level of detail to the next


class FinishingStopped(Exception):
    """The finishing was stopped before it was done."""


class Finished(NamedTuple):
    """What was written."""

    folder: Path
    files: list[str]
    report: dict        # as in finish.json


def finish(run: str | Path, output: str | Path, options: FinishOptions | None = None, *,
           scene: str | Path | None = None, device: str = "cpu", for_blender: bool = False,
           on_step: Callable[[ExtractStep], None] = lambda step: None,
           should_stop: Callable[[], bool] = lambda: False) -> Finished:
    """Finish a run: mesh.glb, .obj and .ply, further levels as mesh_lod1 and so on, splats.ply and .spz,
    comparison.jpg, finish.json.

    Args:
        run: folder of a finished run.
        output: folder; made if it is not there, files in it are replaced.
        options: defaults where None.
        scene: folder of the scene, if it has moved; or a cameras.json where the photos are gone.
        device: where the drawing is done.
        for_blender: write what the extension takes (milo.protocol.assets) instead, and no splats.
        on_step: called after each step.
        should_stop: asked after each step; when it turns true, FinishingStopped is raised.

    Raises:
        SceneError: the run or its scene cannot be read.
        ValueError: cameras and mesh do not belong together, or files cannot hold the result.
        FinishingStopped: should_stop said so.
    """
    options = options or FinishOptions()
    started = time.monotonic()

    def step(stage: str, iteration: int = 0, iterations: int = 1, vertices: int = 0) -> None:
        on_step(ExtractStep(stage, iteration, iterations, None, vertices))
        if should_stop():
            raise FinishingStopped

    step("loading")
    opened = _opened(Path(run), scene, device)
    source = options.source if opened.has_photos else "splats"
    step("clean")
    cameras = [view.camera for view in opened.scene.train]
    seen = seen_faces(*_on(device, opened.verts, opened.faces), cameras, near=opened.scale.mesh_near).cpu().numpy()
    full = clean(opened.verts.astype(np.float32), opened.faces, seen)
    even = evened(*full)
    place = placement(full[0], options.scale, options.up, options.origin)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    files, levels, gains = [], [], None
    for level in range(options.levels):
        name = "mesh" if level == 0 else f"mesh_lod{level}"
        triangles, texture = max(4, options.triangles // LESS**level), max(16, options.texture // 2**level)
        step("decimate", vertices=len(full[0]))
        mesh = decimate(even, full[1], triangles) if len(full[1]) > triangles else full
        step("unwrap", vertices=len(mesh[0]))
        charted = unwrap(*mesh, texture)
        texels = texels_of(charted, texture, device)

        def on_photo(done: int, vertices: int = len(mesh[0])) -> None:
            step("bake", done, len(cameras), vertices)

        surface = texels, *_on(device, charted.verts, charted.faces)
        if gains is None and options.balance and source == "photos":
            step("exposure", vertices=len(mesh[0]))
            gains = photo_gains(*surface, photos_of(opened, source), near=opened.scale.mesh_near)
        colors, weight = bake_colors(*surface, photos_of(opened, source, gains),
                                     near=opened.scale.mesh_near, on_photo=on_photo)
        normals = None
        if options.normal_map:
            step("relief", vertices=len(mesh[0]))
            normals = picture(texels, bake_normals(texels, *full))
        asset = Asset(name, charted, picture(texels, colors), normals)
        step("saving", vertices=len(mesh[0]))
        if for_blender:
            files += write_for_blender(folder, asset, mesh, place)
        else:
            files += write_asset(folder, asset, place, _vertex_colors(charted, asset.color))
        levels.append({"name": name, "triangles": len(charted.faces), "texture": texture,
                       "texels": len(texels.index), "seen": float((weight > 0).float().mean()),
                       **held_out(opened, partial(textured_image, opened, asset),
                                  lambda done: step("compare", done, len(opened.scene.test)))})
        if level == 0 and not for_blender:
            comparison(opened, asset).save(folder / "comparison.jpg", quality=90)
            files.append("comparison.jpg")
    if not for_blender:
        files += write_placed_splats(folder, opened.path, place)
    without = {} if opened.colors is None else held_out(opened, partial(full_image, opened))
    report = {"format": FORMAT, "scene": opened.scene.name, "options": asdict(options), "source": source,
              "full": {"triangles": len(opened.faces), "clean": len(full[1]), **without},
              "gains": [] if gains is None else [float(gains.min()), float(gains.max())],
              "levels": levels, "seconds": time.monotonic() - started}
    building = folder / "finish.json.partial"
    building.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    os.replace(building, folder / "finish.json")
    return Finished(folder, [*files, "finish.json"], report)


def _opened(run: Path, scene: str | Path | None, device: str) -> FinishedRun:
    """The run with its photos; where they cannot be read, with pictures of its splats from the same cameras."""
    try:
        return open_run(run, scene, device, needs_photos=False)
    except SceneError:
        cameras = run / "cameras.json"
        if scene is not None or not cameras.is_file():
            raise
        return open_run(run, cameras, device, needs_photos=False)


def photos_of(run: FinishedRun, source: str, gains: np.ndarray | None = None) -> Iterator[Photo]:
    """What colours are taken from: training photos, times their gains [P, 3], or the splats from where they stood."""
    gains = np.ones((len(run.scene.train), 3), np.float32) if gains is None else gains
    for view, gain in zip(run.scene.train, gains):
        opaque = None if view.mask is None else view.mask.to(run.background.device) == 255
        if source == "splats" and run.has_photos:
            yield Photo(view.camera, run.splat_image(view), opaque)
        else:
            image = view.target(torch.zeros_like(run.background))
            yield Photo(view.camera, image * torch.from_numpy(gain).to(image)[:, None, None], opaque)


def write_asset(folder: Path, asset: Asset, place: Placement, colors: np.ndarray) -> list[str]:
    """Write GLB, OBJ and PLY (with vertex colours [V, 3] uint8) of an asset in its place; returns the files' names."""
    turned = placement(np.zeros((1, 3)))._replace(quat=place.quat)
    mesh = asset.mesh
    tangents = np.concatenate([turned.moved(mesh.tangents[:, :3]), mesh.tangents[:, 3:]], axis=1)
    placed = mesh._replace(verts=place.moved(mesh.verts), normals=turned.moved(mesh.normals), tangents=tangents)
    asset = asset._replace(mesh=placed)
    glb, ply = folder / f"{asset.name}.glb", folder / f"{asset.name}.ply"
    write_glb(glb, asset)
    objects = write_obj(folder / f"{asset.name}.obj", asset)
    write_mesh(ply, placed.verts, placed.faces, colors)
    return [file.name for file in (glb, *objects, ply)]


def write_for_blender(folder: Path, asset: Asset, mesh: Mesh, place: Placement) -> list[str]:
    """Write an asset for the extension, its mesh before it was cut into charts; returns the files' names."""
    verts, faces = mesh
    corners = asset.mesh.faces.ravel()       # in the order of those of faces
    colors = np.zeros((len(verts), 3), np.uint8)
    colors[faces.ravel()] = _vertex_colors(asset.mesh, asset.color)[corners]
    stored = AssetMesh(verts.astype(np.float32), vertex_normals(verts, faces), faces.astype(np.int32),
                       (asset.mesh.uvs * np.float32([1, -1]) + np.float32([0, 1]))[corners], colors, place.matrix)
    stored.check()
    files = {f"{asset.name}.npz": stored.pack(), f"{asset.name}_color.png": png(asset.color)}
    if asset.normal is not None:
        files[f"{asset.name}_normal.png"] = png(asset.normal)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return list(files)


def write_placed_splats(folder: Path, run: Path, place: Placement) -> list[str]:
    """Write the run's Gaussians in their place: splats.ply with all its columns, splats.spz as they are drawn."""
    path = latest_splats(run) or splats_of(run)
    write_splats(folder / "splats.ply", moved_splats(read_columns(path), place))
    write_spz(folder / "splats.spz", moved_splats(drawn_columns(path), place))
    return ["splats.ply", "splats.spz"]


def held_out(run: FinishedRun, image: Callable[[View], torch.Tensor],
             on_view: Callable[[int], None] = lambda done: None) -> dict:
    """Mean PSNR of a mesh's pictures of the held-out views; empty if there are none."""
    values = []
    for view in run.scene.test:
        values.append(view_psnr(run, image(view), view))
        on_view(len(values))
    return {"psnr": sum(values) / len(values)} if values else {}


def _vertex_colors(mesh: Charted, color: np.ndarray) -> np.ndarray:
    """[V, 3] uint8: the texture at the vertices."""
    side = len(color)
    column, row = (mesh.uvs * side).astype(int).clip(0, side - 1).T
    return color[row, column]


def _on(device: str | torch.device, *arrays: np.ndarray) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(array).to(device) for array in arrays)
