# SPDX-License-Identifier: Apache-2.0
"""A colour for every texel, from the photos that see it (or from pictures of the splats).

A texel takes the mean of the photos in which nothing hides it, those counting more that look at it straight, from near
by, and away from outlines: there a photo shows a mixture, and the mesh may be off by a pixel. As the weights change
smoothly over the surface, no line shows where one photo gives way to another, nor where a chart ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool2d

from milo.cuda_ext.triangles import face_depth, visibility

from .texels import Texels

FINER = 2              # what hides a texel is looked for at so many times the photos' resolution
MIXED = 1.0            # pixels from an outline up to which a photo may show a mixture ...
OUTLINE = 3.0          # ... and up to which it counts less
LEAST = 1e-3           # what a mixture still counts: for thin things that are all outline
REACH = 4.0            # pixels from which a texel that photos only show mixed takes the colour of clear ones
STEEP = 0.1            # cosine between view and normal below which depths are compared no finer
STEP = 5.0             # footprints between the depths of neighbouring pixels that make an outline
NEIGHBOURS = 8         # seen texels that one takes its colour from that no photo sees


class Photo(NamedTuple):
    """A picture that colours are taken from."""

    camera: object            # milo.backend.data.cameras.Camera
    image: Tensor             # [3, H, W] float in [0, 1]
    opaque: Tensor | None     # [H, W] bool, pixels that show the object alone


class Seen(NamedTuple):
    """How a camera sees texels."""

    rows: Tensor      # [M] int64, which texels
    where: Tensor     # [M, 2] (x, y) pixels
    weight: Tensor    # [M] > 0
    clear: Tensor     # [M] bool, away from outlines
    pixel: Tensor     # [M] how far a pixel reaches along the surface, world units


@torch.no_grad()
def bake_colors(texels: Texels, verts: Tensor, faces: Tensor, photos: Iterable[Photo], *, near: float = 0.01,
                on_photo: Callable[[int], None] = lambda done: None) -> tuple[Tensor, Tensor]:
    """Colours [T, 3] in [0, 1] and weights [T] of texels; the weight is 0 where no photo sees one, and the colour then
    that of the closest ones that are seen.

    Args:
        texels: of the mesh.
        verts: [V, 3] float32; faces: [F, 3] int32, those that texels.face names, on the texels' device.
        photos: pictures, one after the other.
        near: z depth up to which nothing is drawn, world units.
        on_photo: called after each photo with how many are done; may raise to stop.
    """
    total = torch.zeros_like(texels.points)
    weights = torch.zeros_like(texels.points[:, 0])
    clear, reach = torch.zeros_like(weights), torch.full_like(weights, torch.inf)
    for done, photo in enumerate(photos, 1):
        rows, where, weight, sure, pixel = seen_texels(texels, verts, faces, photo.camera, photo.opaque, near)
        height, width = photo.camera.size
        at = where * where.new_tensor([2 / width, 2 / height]) - 1
        colors = grid_sample(photo.image[None], at[None, None], padding_mode="border", align_corners=False)[0, :, 0].T
        total.index_add_(0, rows, colors * weight[:, None])
        weights.index_add_(0, rows, weight)
        clear[rows[sure]] = 1
        reach[rows] = torch.minimum(reach[rows], REACH * pixel)
        on_photo(done)
    colors = total / weights.clamp_min(1e-30)[:, None]
    return _with_neighbours(texels.points, colors, clear > 0, weights > 0, reach), weights


def seen_texels(texels: Texels, verts: Tensor, faces: Tensor, camera, opaque: Tensor | None, near: float) -> Seen:
    """The texels that nothing hides from a camera, and how much it counts for each."""
    fine = camera.scaled(FINER)
    face_id = visibility(verts, faces, fine.viewmat, fine.K, fine.size, near=near)
    depth = face_depth(verts, faces, face_id, fine.viewmat, fine.K)
    shown = torch.zeros(len(faces) + 1, dtype=torch.bool, device=faces.device)
    shown[face_id.flatten().long()] = True      # -1 is the last
    rows = shown[:-1][texels.face].nonzero()[:, 0]
    points, normals = texels.points[rows], texels.normals[rows]
    x, y, z = (points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]).unbind(1)
    (fx, _, cx), (_, fy, cy), _ = camera.K.unbind(0)
    where = torch.stack([fx * x / z.clamp_min(near) + cx, fy * y / z.clamp_min(near) + cy], dim=1)
    towards = camera.center - points
    cosine = (towards * normals).sum(1) / towards.norm(dim=1)
    height, width = camera.size
    inside = (z > near) & (where >= 0.5).all(1) & (where[:, 0] <= width - 0.5) & (where[:, 1] <= height - 0.5)
    column, row = (where * FINER).long().unbind(1)
    column, row = column.clamp(0, fine.width - 1), row.clamp(0, fine.height - 1)
    drawn = depth[row, column]
    footprint = z / (fx * FINER)
    in_front = (drawn > 0) & (z <= drawn + footprint * (1 + 1 / cosine.clamp_min(STEEP)))
    share = _from_outlines(depth, fx * FINER)[row, column]
    good = inside & in_front & (cosine > 0)
    if opaque is not None:
        column, row = where.long().unbind(1)
        column, row = column.clamp(0, width - 1), row.clamp(0, height - 1)
        pure = -max_pool2d(-opaque[None].float(), 3, stride=1, padding=1)[0]
        good &= opaque[row, column]
        share = share * pure[row, column]
    weight = cosine.square() * (fx / z).square() * (LEAST + (1 - LEAST) * share)
    return Seen(rows[good], where[good], weight[good], share[good] > 0,
                (z / fx / cosine.clamp_min(STEEP))[good])


def _from_outlines(depth: Tensor, focal: Tensor) -> Tensor:
    """[H, W], 0 at outlines, rising to 1 away from them. An outline is where depth jumps, or where the mesh ends."""
    far = torch.where(depth > 0, depth, 10 * depth.max() + 1)
    most = max_pool2d(far[None], 3, stride=1, padding=1)[0]
    least = -max_pool2d(-far[None], 3, stride=1, padding=1)[0]
    outline = most - least > STEP * least / focal
    if not outline.any():
        return torch.ones_like(depth)
    away = torch.from_numpy(distance_transform_edt(~outline.cpu().numpy())).to(depth)
    share = ((away / FINER - MIXED) / (OUTLINE - MIXED)).clamp(0, 1)
    return share * share * (3 - 2 * share)


def _with_neighbours(points: Tensor, colors: Tensor, clear: Tensor, seen: Tensor, reach: Tensor) -> Tensor:
    """Colours [T, 3]; where no photo shows a texel clearly, those of the closest clear ones, near ones counting more:
    alike on both sides of a seam, as it is in space that they are close. What is seen, but farther than its reach from
    anything clear, keeps the mixture."""
    if clear.all() or not clear.any():
        return colors
    tree = cKDTree(points[clear].cpu().numpy())
    count = min(NEIGHBOURS, tree.n)
    distance, index = tree.query(points[~clear].cpu().numpy(), k=list(range(1, count + 1)))
    share = 1 / np.maximum(distance, 1e-12 + distance.mean() * 1e-3)
    share /= share.sum(1, keepdims=True)
    near = torch.from_numpy((colors[clear].cpu().numpy()[index] * share[..., None]).sum(1)).to(colors)
    alone = seen[~clear] & (torch.from_numpy(distance[:, 0]).to(reach) > reach[~clear])
    result = colors.clone()
    result[~clear] = torch.where(alone[:, None], colors[~clear], near)
    return result
