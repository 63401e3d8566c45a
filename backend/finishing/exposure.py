# SPDX-License-Identifier: Apache-2.0
"""How much brighter each photo is than the others, so that a texture made of them does not change where they do.

A place on the surface has one colour; a photo shows it times its own gain. In logarithms that is a linear least-squares
problem in the colours of the places and the gains of the photos; eliminating the former leaves a small dense one.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from scipy.sparse import coo_array
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from .bake import Photo, seen_texels
from .texels import Texels

PLACES = 20_000        # that are compared
SIDE = 256             # longer side that photos are looked at, pixels
DARK, BRIGHT = 0.02, 0.98   # what is outside may have been clipped
ODD = 0.15             # a deviation in logarithms beyond which a sample (a highlight, a shadow) counts less and less
ROUNDS = 5             # of weighing such samples down
PRIOR = 0.02           # how much a gain of 1 is trusted, in the mean weight of a photo


@torch.no_grad()
def photo_gains(texels: Texels, verts: Tensor, faces: Tensor, photos: Iterable[Photo], *,
                near: float = 0.01) -> np.ndarray:
    """What the colours of each photo are to be multiplied by: [P, 3] float32, about 1 in the mean.

    Args:
        texels: of the mesh; a part of them is looked at.
        verts: [V, 3] float32; faces: [F, 3] int32, those that texels.face names.
        photos: pictures, one after the other.
        near: z depth up to which nothing is drawn, world units.
    """
    chosen = torch.randperm(len(texels.index), generator=torch.Generator().manual_seed(0))[:PLACES]
    chosen = chosen.to(texels.points.device)
    places = texels._replace(**{name: getattr(texels, name)[chosen]
                                for name in ("index", "face", "points", "normals", "tangents")})
    number, place, logs, weight = [], [], [], []
    for i, photo in enumerate(photos):
        camera = photo.camera.scaled(min(1.0, SIDE / max(photo.camera.size)))
        image = interpolate(photo.image[None], camera.size, mode="area")
        opaque = None
        if photo.opaque is not None:
            opaque = interpolate(photo.opaque[None, None].float(), camera.size, mode="area")[0, 0] > 0.99
        seen = seen_texels(places, verts, faces, camera, opaque, near)
        height, width = camera.size
        at = seen.where * seen.where.new_tensor([2 / width, 2 / height]) - 1
        colors = grid_sample(image, at[None, None], padding_mode="border", align_corners=False)[0, :, 0].T
        good = seen.clear & (colors > DARK).all(1) & (colors < BRIGHT).all(1)
        number.append(np.full(int(good.sum()), i))
        place.append(seen.rows[good].cpu().numpy())
        logs.append(colors[good].double().log().cpu().numpy())
        weight.append(seen.weight[good].double().cpu().numpy())
    if not number:
        return np.ones((0, 3), np.float32)
    shape = len(chosen), len(number)
    samples = np.concatenate(place), np.concatenate(number), np.concatenate(logs)
    weight = np.concatenate(weight)
    return np.stack([np.exp(_solved(*samples[:2], samples[2][:, channel], weight, shape))
                     for channel in range(3)], axis=1).astype(np.float32)


def _solved(place: np.ndarray, photo: np.ndarray, value: np.ndarray, weight: np.ndarray,
            shape: tuple[int, int]) -> np.ndarray:
    """Gains [P] in logarithms that bring the values [S] of each place together."""
    gains = np.zeros(shape[1])
    if not len(value):
        return gains
    weight = weight / weight.mean()
    trust = weight
    for _ in range(ROUNDS):
        matrix = coo_array((trust, (place, photo)), shape=shape).tocsr()
        total = np.maximum(matrix.sum(axis=1), 1e-12)
        means = np.bincount(place, trust * value, shape[0]) / total
        each = matrix.sum(axis=0)
        shared = (matrix.T @ (matrix / total[:, None])).toarray()
        right = np.bincount(photo, trust * (means[place] - value), shape[1])
        gains = np.linalg.solve(np.diag(each + PRIOR * each.mean()) - shared, right)
        means = np.bincount(place, trust * (value + gains[photo]), shape[0]) / total
        off = (value + gains[photo] - means[place]) / ODD
        trust = weight / (1 + off * off)
    return gains
