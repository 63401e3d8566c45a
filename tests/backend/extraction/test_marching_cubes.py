# SPDX-License-Identifier: Apache-2.0
"""Marching cubes: closed surfaces whatever the signs, the sphere, and parts that are joined."""

from __future__ import annotations

import math

import pytest
import torch

from milo.backend.extraction.marching_cubes import HALF_RANGE, joined, march_cells, triangle_table


def cells_of(values: torch.Tensor):
    """All cells of a dense grid [X, Y, Z] of samples, and the values at their corners."""
    counts = [n - 1 for n in values.shape]
    cells = torch.cartesian_prod(*(torch.arange(n) for n in counts))
    corners = [values[cells[:, 0] + (c >> 2), cells[:, 1] + (c >> 1 & 1), cells[:, 2] + (c & 1)] for c in range(8)]
    return cells, torch.stack(corners, dim=1)


def directed_edges(faces: torch.Tensor) -> list[tuple[int, int]]:
    return [tuple(edge) for face in faces.tolist() for edge in zip(face, face[1:] + face[:1])]


def test_any_signs_give_a_closed_oriented_surface():
    """Each directed edge occurs as often as its reverse: no cracks, also where faces of cells are ambiguous."""
    values = torch.randn(9, 8, 7, generator=torch.Generator().manual_seed(0))
    for side in (values[0], values[-1], values[:, 0], values[:, -1], values[..., 0], values[..., -1]):
        side.abs_()
    surface = march_cells(*cells_of(values))
    edges = directed_edges(surface.faces)
    assert len(surface.faces) > 500 and sorted(edges) == sorted((b, a) for a, b in edges)


def test_cases_that_are_complements_use_the_same_edges():
    table = triangle_table()
    assert int((table[:, :, 0] >= 0).sum()) == 820      # as every table of this kind
    for case in range(256):
        assert set(table[case].flatten().tolist()) - {-1} == set(table[255 - case].flatten().tolist()) - {-1}


def test_sphere():
    axis = torch.arange(24, dtype=torch.float64)
    center, radius = torch.tensor([11.3, 11.6, 11.4], dtype=torch.float64), 8.0
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    surface = march_cells(*cells_of((grid - center).norm(dim=-1) - radius))
    distance = (surface.positions - center).norm(dim=1)
    assert (distance - radius).abs().max() < 0.03
    corners = surface.positions[surface.faces]
    normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((corners.mean(1) - center) * normal).sum(1).min() > 0                # towards positive values
    assert float(normal.norm(dim=1).sum() / 2) == pytest.approx(4 * math.pi * radius**2, rel=0.02)
    assert len(surface.keys) - len(surface.faces) * 3 // 2 + len(surface.faces) == 2   # Euler


def test_parts_join_without_doubles():
    values = torch.randn(13, 6, 6, generator=torch.Generator().manual_seed(1))
    cells, corners = cells_of(values)
    whole = march_cells(cells, corners)
    left = cells[:, 0] < 5
    both = joined([march_cells(cells[left], corners[left]), march_cells(cells[~left], corners[~left])])
    assert torch.equal(both.keys, whole.keys) and torch.equal(both.positions, whole.positions)
    assert sorted(both.faces.tolist()) == sorted(whole.faces.tolist())


def test_far_from_the_origin():
    values = torch.tensor([-1.0, 1, 1, 1, 1, 1, 1, 1])[None]
    for corner in (-HALF_RANGE, HALF_RANGE - 2):
        surface = march_cells(torch.full((1, 3), corner), values)
        assert surface.positions.sort(dim=0).values.tolist() == [[corner] * 3, [corner] * 3, [corner + 0.5] * 3]


def test_nothing_crosses():
    surface = march_cells(torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 8))
    assert surface.faces.shape == (0, 3) and len(surface.keys) == 0
