# SPDX-License-Identifier: Apache-2.0
"""Depth and normals of a triangle mesh, with gradients to its vertices (spec training.md 5.11)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from milo.cuda_ext.triangles import face_depth, mesh_maps, visibility

from . import nvdiffrast_meshes
from .scale import SceneScale

Rasterizer = Literal["native", "nvdiffrast"]


class MeshRender(NamedTuple):
    """What one camera sees of a mesh; 0 (and face id -1) where it sees nothing."""

    depth: Tensor     # [H, W] z depth, world units; antialiased at silhouettes if asked for
    normal: Tensor    # [3, H, W] unit face normals in the camera frame, not flipped
    face_id: Tensor   # [H, W] int32


def render_mesh(verts: Tensor, faces: Tensor, camera, scale: SceneScale, *, antialiased: bool = True,
                rasterizer: Rasterizer = "native") -> MeshRender:
    """Rasterise a mesh. Differentiable in verts.

    Args:
        verts: [V, 3] float, world units.
        faces: [F, 3] int32.
        camera: a Camera, on the mesh's device.
        scale: gives the clip range.
        antialiased: blend depth across silhouettes, so that they too have a gradient.
        rasterizer: whose; nvdiffrast's only on a GPU, and where it is installed.

    Raises:
        ConfigError: nvdiffrast is wanted and cannot be used.
    """
    if rasterizer == "nvdiffrast":
        return MeshRender(*nvdiffrast_meshes.render(verts, faces, camera, scale.mesh_near, scale.mesh_far, antialiased))
    camera = camera.exact
    return MeshRender(*mesh_maps(verts, faces, camera.viewmat, camera.K, camera.size, near=scale.mesh_near,
                                 far=scale.mesh_far, antialiased=antialiased))


def require_rasterizer(rasterizer: Rasterizer, device: torch.device | str) -> None:
    """Raise ConfigError where `render_mesh` on this device would, before anything else is done."""
    if rasterizer == "nvdiffrast":
        nvdiffrast_meshes.require_nvdiffrast(device)


@torch.no_grad()
def mesh_depth(verts: Tensor, faces: Tensor, camera, scale: SceneScale) -> Tensor:
    """Depth [H, W] of a mesh as a camera sees it, without gradients or antialiasing; 0 where it sees nothing."""
    camera = camera.exact
    face_id = visibility(verts, faces, camera.viewmat, camera.K, camera.size, near=scale.mesh_near,
                         far=scale.mesh_far)
    return face_depth(verts, faces, face_id, camera.viewmat, camera.K)
