# SPDX-License-Identifier: Apache-2.0
"""A field as occupancy logits: marching tetrahedra find its zeros again (spec extraction 1.1 C)."""

import pytest
import torch

from milo.backend.config import ExtractConfig
from milo.backend.extraction.initial import linearised, logits_of_field
from milo.backend.mesh.pivots import gaussian_pivots
from milo.backend.mesh.surface import extract_surface, triangulate
from milo.cuda_ext.pivots import field


class Cubed:
    """A field whose zero is the sphere of radius 0.8, and that is nowhere near linear."""

    def at(self, points, stage):
        yield None
        return (points.norm(dim=1) - 0.8).pow(3)


def finished(steps):
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


def error_of(settings: ExtractConfig) -> float:
    generator = torch.Generator().manual_seed(0)
    means = torch.nn.functional.normalize(torch.randn(200, 3, generator=generator), dim=1)
    means *= 0.8 + 0.1 * torch.randn(200, 1, generator=generator)
    pivots = gaussian_pivots(means, torch.full((200, 3), 0.05), torch.tensor([1.0, 0, 0, 0]).repeat(200, 1))
    topology = triangulate(pivots.points)
    logits = finished(logits_of_field(Cubed(), pivots, topology, settings))
    sdf = field(logits, torch.zeros_like(logits))[0]
    assert sdf.abs().max() <= 1 + 1e-5
    surface = extract_surface(pivots, sdf, topology)
    assert len(surface.verts) > 500
    return float((surface.verts.norm(dim=1) - 0.8).abs().mean())


def test_bisection_and_linearisation_find_the_surface():
    assert error_of(ExtractConfig(binary_steps=10)) < 0.5 * error_of(ExtractConfig(binary_steps=0))


def test_a_single_edge_is_exact():
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [9, 9, 9]])
    crossing = torch.tensor([[0.2, 0, 0]])
    sdf = linearised(torch.tensor([0.3, -0.1, 0.4]), points, torch.tensor([[0, 1]]), crossing, 20, 0.5)
    assert float(sdf[0] / (sdf[0] - sdf[1])) == pytest.approx(0.2, abs=1e-6)
    assert float(sdf.std()) == pytest.approx(0.5, abs=1e-6) and sdf[2] > 0     # no edge crosses there: only scaled
