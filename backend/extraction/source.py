# SPDX-License-Identifier: Apache-2.0
"""Splats on disk with the views that go with them: runs of ours, folders of 3DGS, and single PLY files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from milo.backend.config import Config, load_config, with_overrides
from milo.backend.data.errors import SceneError
from milo.backend.data.images import target_size
from milo.backend.data.ply import has_filter
from milo.backend.data.runs import config_of, require_run, scene_of
from milo.backend.data.scene import View, camera_extent, load_scene
from milo.backend.data.splat_folder import latest_splats, read_arguments, read_cameras
from milo.backend.gaussians.files import load_gaussians
from milo.backend.rendering.scale import SceneScale, scene_scale
from milo.backend.rendering.splats import Splats, render_view

LOW_PASS_3DGS = 0.3   # pixels^2; what 3DGS adds to every Gaussian in a picture


class Source(NamedTuple):
    """What a mesh is extracted from."""

    splats: Splats        # activated
    logits: Tensor        # [N, 9] occupancy, 0 where nothing was learned
    views: list[View]     # training views
    config: Config
    scale: SceneScale
    output: Path          # where the mesh goes if nobody says


def open_source(path: str | Path, scene: str | Path | None = None, overrides: Iterable[str] = (),
                device: str | torch.device = "cpu") -> Source:
    """Read splats and their views; arguments as in `extract`.

    Raises:
        SceneError: the splats, the run or the scene cannot be read, or no scene is given for a PLY.
        ConfigError: an override is not valid.
    """
    path = Path(path)
    scene = None if scene is None else Path(scene)
    splats = latest_splats(path)
    if path.is_file():
        if scene is None:
            raise SceneError(path, "splats alone do not say where the cameras are",
                             "Give the scene's folder, or a cameras.json of 3DGS, with --scene")
        config = load_config([], {"data.holdout": False, "extract.low_pass": low_pass_of(path)})
        output = path.with_name(f"{path.stem}_mesh.ply")
    elif splats is not None and not (path / "config.json").is_file():
        config, scene = configuration_of_folder(path, splats, scene)
        path, output = splats, path / "mesh.ply"
    else:
        require_run(path, "splats.ply")
        config, scene = config_of(path), scene or scene_of(path)
        path, output = path / "splats.ply", path / "mesh.ply"
        if scene.is_file():     # ours tells the sizes at which the photos were used
            config = with_overrides(config, ["data.resolution=1", "data.max_width=0"])
    config = with_overrides(config, overrides)
    if output.name == "mesh.ply" and config.extract.method != "learned":
        output = output.with_name(f"mesh_{config.extract.method}.ply")
    gaussians = load_gaussians(path)
    activated = gaussians.splats().detach().to(device)
    logits = (gaussians.base_occupancy + gaussians.occupancy_shift).detach().to(device)
    if scene.is_file():
        views, extent = views_without_photos(scene, activated, config)
    else:
        loaded = load_scene(scene, config.data).to(device)
        views, extent = loaded.train, loaded.extent
    return Source(activated, logits, views, config, scene_scale(config, extent), output)


def low_pass_of(splats: Path) -> float:
    """How Gaussians of others are drawn: those without a 3D filter have been trained with 3DGS's filter of pictures."""
    return 0.0 if has_filter(splats) else LOW_PASS_3DGS


def configuration_of_folder(path: Path, splats: Path, scene: Path | None) -> tuple[Config, Path]:
    """Configuration and scene of a folder of 3DGS; the scene is its cameras.json where the photos are gone."""
    arguments = read_arguments(path)
    settings = {"data.holdout": bool(arguments.get("eval", False)),
                "data.white_background": bool(arguments.get("white_background", False)),
                "extract.low_pass": low_pass_of(splats)}
    settings |= {f"data.{name}": arguments[name] for name in ("images", "resolution") if name in arguments}
    config = load_config([], settings)
    if scene is None:
        folder = Path(str(arguments.get("source_path", "")))
        scene = folder if arguments.get("source_path") and folder.is_dir() else path / "cameras.json"
    return config, scene


def views_without_photos(path: Path, splats: Splats, config: Config) -> tuple[list[View], float]:
    """The views of a cameras.json, which the splats themselves take the place of photos in; and their extent."""
    cameras = read_cameras(path)
    extent = camera_extent(cameras)
    scale = scene_scale(config, extent)._replace(low_pass=config.extract.low_pass)
    device = splats.means.device
    views = []
    for uid, camera in enumerate(cameras):
        size = target_size(camera.width, camera.height, config.data.resolution, config.data.max_width)
        camera = camera.resized(*size).to(device)
        picture = render_view(splats, camera.viewmat, camera.K, camera.size, **scale.drawing).image
        views.append(View(camera, uid, (picture * 255).round().to(torch.uint8).permute(1, 2, 0)))
    return views, extent
