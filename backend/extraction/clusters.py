# SPDX-License-Identifier: Apache-2.0
"""A mesh without its crumbs."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor


def largest_clusters(faces: Tensor, vertices: int, most: int, min_faces: int) -> Tensor:
    """Which faces belong to the largest connected parts of a mesh: [F] bool.

    Args:
        faces: [F, 3] int; vertices: how many they index.
        most: parts kept; as many as the last of them are kept too.
        min_faces: parts with fewer faces are dropped, but never the largest.
    """
    if not len(faces):
        return torch.zeros(0, dtype=torch.bool, device=faces.device)
    rows = faces.cpu().numpy()
    starts, ends = rows[:, [0, 1]].reshape(-1), rows[:, [1, 2]].reshape(-1)
    graph = coo_array((np.ones(len(starts), np.int8), (starts, ends)), shape=(vertices, vertices))
    part = connected_components(graph, directed=False)[1][rows[:, 0]]
    sizes = np.bincount(part)
    ordered = np.sort(sizes)[::-1]
    threshold = min(max(ordered[min(most, len(ordered)) - 1], min_faces), ordered[0])
    return torch.from_numpy(sizes[part] >= threshold).to(faces.device)
