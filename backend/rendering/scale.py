# SPDX-License-Identifier: Apache-2.0
"""How a scene is drawn: the lengths that depend on its size, worked out once (spec training.md 1.5 and Q4)."""

from __future__ import annotations

from typing import NamedTuple


class SceneScale(NamedTuple):
    """Lengths in world units."""

    extent: float       # 1.1 x the largest distance of a training camera from their mean
    splat_near: float   # Gaussians nearer to a camera than this are not drawn
    mesh_near: float    # meshes are clipped here ...
    mesh_far: float     # ... and not judged beyond this
    truncation: float   # of depth fusion
    rasterizer: str = "radegs"   # or "gof": draws the Gaussians' colours, depths and normals
    low_pass: float = 0.0        # pixels^2 by which the Gaussians are wider in each picture, as those of 3DGS are

    @property
    def drawing(self) -> dict[str, float | str]:
        """Keywords of `render_geometry` and `render_view`."""
        return {"near": self.splat_near, "rasterizer": self.rasterizer, "low_pass": self.low_pass}


def scene_scale(config, extent: float) -> SceneScale:
    """How a scene with the given extent is drawn, by the sections `model` and `mesh` of the configuration."""
    splat_near = config.model.near * (extent if config.model.near_unit == "extent" else 1.0)
    mesh = config.mesh
    unit = extent if mesh.depth_unit == "extent" else 1.0
    return SceneScale(extent, splat_near, mesh.near * unit, mesh.far * unit, mesh.trunc * extent,
                      config.model.rasterizer)
