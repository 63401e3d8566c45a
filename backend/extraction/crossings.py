# SPDX-License-Identifier: Apache-2.0
"""The mesh where a field of the Gaussians crosses zero between their pivots (spec extraction 1.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from milo.backend.mesh.pivots import gaussian_pivots
from milo.backend.mesh.surface import triangulate
from milo.backend.rendering.scale import SceneScale
from milo.backend.rendering.splats import Splats
from milo.cuda_ext.tets import marching_tetrahedra

from .air import SeenField
from .choice import chosen_gaussians, chosen_share
from .finish import finished
from .maps import DepthMaps
from .point_fields import bisected, point_field
from .steps import ColoredMesh, ExtractStep


@torch.no_grad()
def cross_and_extract(kind: str, splats: Splats, logits: Tensor, views: Sequence, config, scale: SceneScale,
                      generator: torch.Generator) -> Iterator[ExtractStep | ColoredMesh]:
    """Evaluate a field at the pivots, search its zero on each crossing edge, and extract and colour the mesh.

    What was learned of the occupancy serves only to choose the Gaussians.

    Args:
        kind: "depth_fusion" or "integration".
        others: as in `refine_and_extract`.

    Yields:
        an ExtractStep per view of each evaluation, then one ColoredMesh.
    """
    splats = splats.detach()
    rows = chosen_gaussians(splats, logits, views, config, scale, generator)
    pivots = gaussian_pivots(splats.means[rows], splats.scales[rows], splats.quats[rows],
                             chosen_share(rows, splats, config))
    topology = triangulate(pivots.points)
    field = point_field(kind, splats, views, DepthMaps(splats, views, scale), config, scale)
    if config.extract.drop_unseen:
        field = SeenField(field, views, scale)
    sdf = yield from field.at(pivots.points, "field")
    _, faces, edge_ids = marching_tetrahedra(pivots.points, sdf, topology, pivots.radii)
    edges = topology.edges[edge_ids].long()
    verts = yield from bisected(field, pivots.points[edges], sdf[edges] > 0, config.extract.binary_steps)
    yield finished(verts, faces, views, config, scale)
