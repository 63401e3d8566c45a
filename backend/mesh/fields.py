# SPDX-License-Identifier: Apache-2.0
"""Fields sampled at points from all training views: depth fusion, occupancy labels, vertex colours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from milo.backend.rendering.frustum import faces_in_view
from milo.backend.rendering.meshes import mesh_depth
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats, render_geometry
from milo.cuda_ext.fusion import carve_labels, fuse_colors, fuse_depth

FAR = 1e10   # depth of a ray that meets nothing, world units
RINGS = 32   # of vertices beside all photos that take their neighbours' colours


def fused_sdf(points: Tensor, views: Sequence, depths: Iterable[Tensor], scale: SceneScale,
              carve: bool) -> Tensor:
    """Truncated signed distance of points by fusing the depth maps of all views (spec training.md 5.6).

    Args:
        points: [P, 3] world units.
        views: training views, each with a camera.
        depths: for each view the median depth [H, W] of the Gaussians.
        scale: gives the distance at which the field saturates, and the depths that count.
        carve: what the photos' masks call background is free space.

    Returns:
        [P] in [-1, 1], positive in front of the surface; -1 where no view judges the point.
    """
    value = points.new_full(points.shape[:1], -1.0)
    for _ in fuse_in_turn(value, points, views, depths, scale, carve):
        pass
    return value


@torch.no_grad()
def fuse_in_turn(value: Tensor, points: Tensor, views: Sequence, depths: Iterable[Tensor], scale: SceneScale,
                 carve: bool) -> Iterator[None]:
    """`fused_sdf` into value [P], which is all -1 before; one item after each view."""
    weight = torch.zeros_like(value)
    for view, depth in zip(views, depths):
        camera = view.camera.exact
        fuse_depth(points, beyond_masks(depth, view, carve), camera.viewmat, camera.K, value, weight, scale.truncation,
                   near=scale.mesh_near, far=scale.mesh_far)
        yield


@torch.no_grad()
def median_depths(splats: Splats, views: Sequence, scale: SceneScale) -> Iterator[Tensor]:
    """The Gaussians' median depth [H, W] in each view, rendered one at a time."""
    for view in views:
        yield render_geometry(splats, view.camera, **scale.drawing).median_depth


@torch.no_grad()
def occupancy_labels(points: Tensor, verts: Tensor, faces: Tensor, views: Sequence, scale: SceneScale,
                     carve: bool, frustum_filter: bool = False) -> Tensor:
    """Which points the mesh hides from every view that can judge them (spec training.md 5.9).

    Args:
        points: [P, 3]; verts: [V, 3]; faces: [F, 3] int32, the mesh before any filter.
        carve: what the photos' masks call background is free space.
        frustum_filter: only faces with a vertex in the picture count.

    Returns:
        [P] uint8: 1 hidden (occupied) or judged by no view, 0 seen in front of the mesh by at least one.
    """
    labels = torch.ones(len(points), dtype=torch.uint8, device=points.device)
    for view in views:
        camera = view.camera.exact
        drawn = faces_in_view(verts, faces, view.camera, scale) if frustum_filter else faces
        depth = beyond_masks(mesh_depth(verts, drawn, view.camera, scale), view, carve)
        carve_labels(points, depth, camera.viewmat, camera.K, labels, near=scale.mesh_near, far=scale.mesh_far)
    return labels


def beyond_masks(depth: Tensor, view, carve: bool) -> Tensor:
    """`depth` [H, W] with FAR where the photo's mask and its neighbourhood are empty: such rays meet nothing.

    Left unjudged, as in the reference, the air around a masked object counts as occupied and its outline is ragged.
    """
    if view.mask is None or not carve:
        return depth
    mask = view.mask.to(depth.device, non_blocking=depth.is_cuda)
    empty = F.max_pool2d(mask[None, None].float(), 3, stride=1, padding=1)[0, 0] == 0
    return torch.where(empty, torch.full_like(depth, FAR), depth)


@torch.no_grad()
def vertex_colors(verts: Tensor, faces: Tensor, views: Sequence, scale: SceneScale) -> Tensor:
    """Colours of mesh vertices from the photos (spec extraction 1.1 F).

    A vertex takes the mean colour of the views that see it within 0.002 extents of the rendered surface; one that none
    sees takes that of the views it lies within an extent of; beside the photos, that of its neighbours (which the
    reference leaves black); black if they have none.

    Args:
        verts: [V, 3]; faces: [F, 3] int32; views: training views with photos; scale: of the scene.

    Returns:
        [V, 3] float in [0, 1].
    """
    black = torch.zeros(3, device=verts.device)
    def fuse(points: Tensor, truncation: float) -> tuple[Tensor, Tensor]:
        value = torch.full(points.shape[:1], -1.1, dtype=points.dtype, device=points.device)
        weight = torch.zeros_like(value)
        colors = torch.zeros_like(points)
        for view in views:
            depth = mesh_depth(verts, faces, view.camera, scale)
            depth = depth * _opaque(view, depth)
            fuse_colors(points, depth, view.target(black), view.camera.viewmat, view.camera.K, value, weight, colors,
                        truncation, near=scale.mesh_near, far=scale.mesh_far)
        return colors, weight > 0

    colors, seen = fuse(verts, 0.002 * scale.extent)
    if not seen.all():
        hidden = ~seen
        colors[hidden], seen[hidden] = fuse(verts[hidden].contiguous(), scale.extent)
    return colors if seen.all() else _spread(colors, seen, faces)


def _spread(colors: Tensor, known: Tensor, faces: Tensor) -> Tensor:
    """Colours [V, 3] in which vertices that have none ([V] bool `known`) have the mean of their neighbours', from ring
    to ring; neighbours by several faces count as often."""
    colors, known = colors.clone(), known.clone()
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).long()
    edges = torch.cat([edges, edges.flip(1)])   # from, to
    for _ in range(RINGS):
        edges = edges[~known[edges[:, 1]]]
        source, target = edges[known[edges[:, 0]]].unbind(1)
        if not len(target):
            break
        count = torch.zeros_like(colors[:, 0]).index_add_(0, target, torch.ones_like(colors[target, 0]))
        colors.index_add_(0, target, colors[source])   # theirs were 0
        reached = count > 0
        colors[reached] /= count[reached, None]
        known |= reached
    return colors


def _opaque(view, like: Tensor) -> Tensor | int:
    """1 where the photo shows the object alone [H, W]; at a masked object's outline the background is mixed in."""
    return 1 if view.mask is None else (view.mask.to(like.device, non_blocking=like.is_cuda) == 255).to(like.dtype)
