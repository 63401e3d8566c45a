# SPDX-License-Identifier: Apache-2.0
"""A finished run read back from its folder, with its scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from milo.backend.config import Config, with_overrides
from milo.backend.data.errors import SceneError
from milo.backend.data.ply import read_mesh
from milo.backend.data.runs import config_of, require_run, scene_of, splats_of
from milo.backend.data.scene import Scene, View, load_scene
from milo.backend.data.splat_folder import latest_splats
from milo.backend.extraction.source import configuration_of_folder, views_without_photos
from milo.backend.gaussians.files import load_gaussians
from milo.backend.rendering.scale import SceneScale, scene_scale
from milo.backend.rendering.splats import Splats, render_view

# What a folder of 3DGS or of the reference may have as its mesh, the best first.
MESHES = ("mesh.ply", "mesh_learnable_sdf.ply", "mesh_integration_sdf.ply", "mesh_depth_fusion_sdf.ply",
          "mesh_depth_fusion.ply", "mesh_integration.ply", "mesh_tsdf.ply")


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """What a reconstruction has left.

    Attributes:
        path: folder of the run.
        config: as it ran.
        scene: loaded with that configuration.
        splats: activated Gaussians.
        verts, faces, colors: of mesh.ply ([V, 3] float32, [F, 3] int32, [V, 3] uint8 or None).
        has_photos: whether the scene's pictures are photos, not pictures of the splats.
    """

    path: Path
    config: Config
    scene: Scene
    splats: Splats
    verts: np.ndarray
    faces: np.ndarray
    colors: np.ndarray | None
    has_photos: bool = True

    @property
    def background(self) -> Tensor:
        """[3] colour behind masked photos and renders."""
        return torch.full((3,), 1.0 if self.config.data.white_background else 0.0, device=self.splats.means.device)

    @property
    def scale(self) -> SceneScale:
        """How the run is drawn."""
        return scene_scale(self.config, self.scene.extent)._replace(low_pass=self.config.extract.low_pass)

    def splat_image(self, view: View, background: Tensor | None = None) -> Tensor:
        """The splats as `view` sees them over `background` [3] (that of the run if None): [3, H, W] in [0, 1]."""
        camera, background = view.camera, self.background if background is None else background
        return render_view(self.splats, camera.viewmat, camera.K, camera.size, background,
                           **self.scale.drawing).image


def open_run(path: str | Path, scene: str | Path | None = None, device: str | torch.device = "cpu", *,
             needs_photos: bool = True) -> FinishedRun:
    """Read a run's folder.

    Args:
        path: the folder; one of 3DGS or of the reference will do, once there is a mesh in it.
        scene: the scene's folder; where the run found it if None. Unless photos are needed, a cameras.json will do:
            pictures of the splats then take their place, and no view is held out.
        device: where its splats and its views shall be; the mesh is arrays.

    Raises:
        SceneError: the run is not finished, or its scene is not where it was.
    """
    path = Path(path)
    splats, mesh = latest_splats(path), path / "mesh.ply"
    if splats is not None and not (path / "config.json").is_file():
        config, scene = configuration_of_folder(path, splats, None if scene is None else Path(scene))
        mesh = next((path / name for name in MESHES if (path / name).is_file()), None)
        if mesh is None:
            raise SceneError(path, f"there is no mesh in it ({', '.join(MESHES)})", "Run `milo extract` on it first")
    else:
        splats = splats_of(path)
        require_run(path, splats.name, "mesh.ply")
        config, scene = config_of(path), Path(scene or scene_of(path))
    has_photos = not scene.is_file()
    if needs_photos and not has_photos:
        raise SceneError(path, "the photos of its scene are not there", "Give the scene's folder with --scene")
    gaussians = load_gaussians(splats).splats().detach().to(device)
    if has_photos:
        loaded = load_scene(scene, config.data).to(device)
    else:
        if (path / "config.json").is_file():     # ours tells the sizes at which the photos were used
            config = with_overrides(config, ["data.resolution=1", "data.max_width=0"])
        views, _ = views_without_photos(scene, gaussians, config)
        loaded = Scene(path.resolve().name, scene, views, [], np.zeros((0, 3)), np.zeros((0, 3), np.uint8))
    return FinishedRun(path, config, loaded, gaussians, *read_mesh(mesh), has_photos)
