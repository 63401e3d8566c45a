# SPDX-License-Identifier: Apache-2.0
"""From values at pivots to a mesh, and what a view sees of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from milo.cuda_ext.tets import TetTopology, marching_tetrahedra, tet_topology
from milo.cuda_ext.triangles import mesh_maps

from .cameras import as_camera
from .gaussians import extract_gaussian_pivots


class Mesh(NamedTuple):
    """A triangle mesh, perhaps empty."""

    verts: Tensor                  # [V, 3] world units, differentiable
    faces: Tensor                  # [F, 3] int32, right-handed normals point outwards
    colors: Tensor | None = None   # [V, 3] in [0, 1]


class MeshRender(NamedTuple):
    """What a view sees of a mesh, differentiable in its vertices; 0 where it sees nothing."""

    depth: Tensor    # [H, W] z depth, antialiased at silhouettes
    normal: Tensor   # [3, H, W] unit face normals, camera frame


def extract_mesh(
    delaunay_tets: Tensor | TetTopology, pivots_sdf: Tensor, means: Tensor | None = None, scales: Tensor | None = None,
    rotations: Tensor | None = None, gaussian_idx: Tensor | None = None,
    scale_pivots_with_downsample_ratio: bool = True, scale_pivots_factor: float | None = None,
    override_pivots: Tensor | None = None, override_pivots_scale: Tensor | None = None,
    filter_large_edges: bool = True, collapse_large_edges: bool = False,
) -> Mesh:
    """Marching tetrahedra, differentiable in the values, and in the Gaussians or in override_pivots.

    Args:
        delaunay_tets: [T, 4] int64 of `compute_delaunay_triangulation`; or `tet_topology(tets.int(), P)` of them, which
            holds their edges and saves finding them at each call.
        pivots_sdf: [P] positive outside.
        means, scales, ...: as in `extract_gaussian_pivots`.
        override_pivots: [P, 3], with override_pivots_scale [P, 1] radii, instead of the Gaussians' own.
        filter_large_edges: drop faces with a vertex on an edge longer than its two pivots' radii together. Vertices
            stay.
        collapse_large_edges: move such vertices onto the pivot with the smaller value.
    """
    if override_pivots is None:
        points, radii = extract_gaussian_pivots(means, scales, rotations, gaussian_idx,
                                                scale_pivots_with_downsample_ratio, scale_pivots_factor)
    else:
        points, radii = override_pivots, override_pivots_scale
    if (filter_large_edges or collapse_large_edges) and radii is None:
        raise ValueError("override_pivots_scale is needed to judge edges, or set filter_large_edges=False.")
    topology = delaunay_tets
    if not isinstance(topology, TetTopology):
        topology = tet_topology(delaunay_tets.int(), len(points))
    radii = None if radii is None else radii.detach().reshape(-1)
    verts, faces, edge_ids = marching_tetrahedra(points, pivots_sdf.reshape(-1), topology,
                                                 radii if filter_large_edges else None)
    if collapse_large_edges:
        ends = topology.edges[edge_ids].long()
        lower = ends.gather(1, pivots_sdf.detach().reshape(-1)[ends].argmin(dim=1, keepdim=True))[:, 0]
        apart = points.detach()[ends[:, 0]] - points.detach()[ends[:, 1]]
        short = apart.norm(dim=1) <= radii[ends].sum(dim=1)
        verts = torch.where(short[:, None], verts, points[lower])
    return Mesh(verts, faces)


def frustum_cull_mesh(mesh: Mesh, camera: Any, *, near: float = 0.01, far: float = 1e10) -> Mesh:
    """The mesh with only those faces that may show in a view; vertices, and gradients to them, stay.

    A face goes only if it lies wholly beyond one side of the frustum, so that large faces that cross it are kept.
    """
    camera = as_camera(camera)
    with torch.no_grad():
        x, y, z = (mesh.verts @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]).unbind(1)
        K = camera.K
        u, v = K[0, 0] * x + K[0, 2] * z, K[1, 1] * y + K[1, 2] * z         # pixels times z: right of sign behind too
        beyond = torch.stack([z < near, z > far, u < 0, u > camera.width * z, v < 0, v > camera.height * z])   # [6, V]
        kept = ~beyond[:, mesh.faces.long()].all(dim=2).any(dim=0)
    return mesh._replace(faces=mesh.faces[kept])


def render_mesh(mesh: Mesh, camera: Any, *, near: float = 0.01, far: float = 1e10) -> MeshRender:
    """Depth and normals of a mesh; with `depth_loss` and `normal_loss` they tie it to what the Gaussians show."""
    camera = as_camera(camera).exact
    depth, normal, _ = mesh_maps(mesh.verts, mesh.faces, camera.viewmat, camera.K, camera.size, near=near, far=far)
    return MeshRender(depth, normal)
