# SPDX-License-Identifier: Apache-2.0
"""From a surface to a finished mesh: without what nobody needs, with colours (spec extraction 1.1, steps E to G)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from milo.backend.mesh.fields import vertex_colors
from milo.backend.mesh.region import region_of
from milo.backend.mesh.surface import compact
from milo.backend.rendering.scale import SceneScale

from .air import in_some_photo
from .steps import ColoredMesh


@torch.no_grad()
def finished(verts: Tensor, faces: Tensor, views: Sequence, config, scale: SceneScale) -> ColoredMesh:
    """Drop vertices that no face uses, and colour the others from the photos.

    Args:
        verts: [V, 3]; faces: [F, 3] int32.
        views: training views with photos.
        config: sections extract and region; with `drop_unseen` faces whose vertices all lie outside all photos are
            dropped.
        scale: of the scene.
    """
    verts = verts.detach()
    if config.extract.drop_unseen:
        faces = faces[in_some_photo(verts, views, scale)[faces.long()].any(dim=1)]
    region = region_of(config)
    verts, faces = compact(verts, faces) if region is None else region.crop(verts, faces)
    colors = vertex_colors(verts, faces, views, scale)
    return ColoredMesh(verts, faces, (colors * 255).round().to(torch.uint8))
