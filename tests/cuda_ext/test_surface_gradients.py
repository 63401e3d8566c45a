# SPDX-License-Identifier: Apache-2.0
"""Deformation gradients of triangles and vertices (spec extraction_evaluation_editing.md, 3.7.3)."""

import pytest
import torch

from milo.cuda_ext import surface_gradients as ours
from milo.cuda_ext.reference import surface_gradients as oracle
from milo.cuda_ext.reference.projection import rotation_from_quaternion


@pytest.fixture(autouse=True)
def each_device(run_on):
    run_on(globals(), "ours")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def triangles(count):
    """Loose ones, every ninth a sliver and every seventh flipped: rest positions and their shape."""
    verts, faces = random(3 * count, 3), torch.arange(3 * count).reshape(-1, 3).int()
    x = verts[faces.long()]
    e1, e2 = x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]
    c = torch.linalg.cross(e1, e2)
    square = (c * c).sum(1, keepdim=True)
    numbers = torch.arange(count)
    return verts, ours.RestShape(
        faces, torch.stack([torch.linalg.cross(e2, c) / square, torch.linalg.cross(c, e1) / square], 1),
        c / square.sqrt(), square[:, 0].sqrt(), numbers % 9 != 0, torch.where(numbers % 7 == 0, -1.0, 1.0).double())


def single(rest):
    return ours.RestShape(*(value.float() if value.dtype == torch.float64 else value for value in rest))


@pytest.mark.parametrize("normal_stretch", ours.NORMAL_STRETCH)
def test_triangles_equal_the_oracle(normal_stretch):
    verts, rest = triangles(500)
    posed = verts + 0.5 * random(1500, 3, seed=1)
    posed[30:33] = posed[30]                                        # collapsed
    F, weights = ours.triangle_gradients(posed.float(), single(rest), normal_stretch)
    expected = oracle.triangle_gradients(posed, rest, normal_stretch)
    well = rest.areas > 0.1
    off = (F.double() - expected[0])[well].flatten(1).norm(dim=1)
    assert (off <= 1e-4 * (1 + expected[0][well].flatten(1).norm(dim=1))).all()
    torch.testing.assert_close(weights.double(), expected[1], rtol=1e-5, atol=1e-5)
    assert weights[10] == 0 and (weights == 0).sum() == 57


def test_an_affine_map_is_the_gradient_of_every_triangle():
    """With the thickness that a uniform scale has: 1.5 times a rotation."""
    verts, rest = triangles(100)
    A = 1.5 * rotation_from_quaternion(random(1, 4))[0]
    rest = rest._replace(flip=torch.ones_like(rest.flip))
    F, _ = ours.triangle_gradients((verts @ A.T).float(), single(rest))
    well = rest.areas > 0.1
    torch.testing.assert_close(F[well].double(), A.expand(int(well.sum()), 3, 3), rtol=0, atol=1e-4)


def fans(count, spread, seed=0):
    """Around each of `count` vertices 0 to 7 triangles whose gradients differ by the spread; every third vertex is of a
    reflection."""
    sizes = torch.arange(count) % 8
    begins = torch.nn.functional.pad(sizes.cumsum(0), (1, 0)).int()
    vertex = torch.repeat_interleave(torch.arange(count), sizes)
    turns = torch.cat([torch.ones(len(vertex), 1).double(), spread * random(len(vertex), 3, seed=seed)], 1)
    F = rotation_from_quaternion(turns) @ (torch.eye(3) + 0.1 * random(len(vertex), 3, 3, seed=seed + 1))
    F = rotation_from_quaternion(random(count, 4, seed=seed + 2))[vertex] @ F
    F[vertex % 3 == 0] *= -1
    weights = 0.1 + random(len(vertex), seed=seed + 3).abs()
    weights[::5] = 0
    incident = torch.randperm(len(vertex), generator=torch.Generator().manual_seed(seed)).int()
    shuffled, mixed = torch.empty_like(F), torch.empty_like(weights)
    shuffled[incident.long()], mixed[incident.long()] = F, weights
    return shuffled, mixed, begins, incident


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.3, 0.6])
def test_vertices_equal_the_oracle(spread):
    F, weights, begins, incident = fans(400, spread)
    mine, totals = ours.vertex_gradients(F.float(), weights.float(), begins, incident)
    expected, total = oracle.vertex_gradients(F, weights, begins, incident)
    torch.testing.assert_close(totals.double(), total, rtol=1e-5, atol=1e-6)
    off = (mine.double() - expected).flatten(1).norm(dim=1)
    assert (off < 2e-4).sum() >= 398       # which way of blending is taken, and which sign, may hang on a last digit
    assert (mine[totals == 0] == 0).all() and (totals == 0).any()


def test_opposite_turns_keep_their_size():
    """85 degrees to one side and to the other: a mean of matrices would be a tenth as wide."""
    half = torch.tensor(85.0).deg2rad() / 2
    quats = torch.tensor([[half.cos(), half.sin(), 0, 0], [half.cos(), -half.sin(), 0, 0]])
    F = 2 * rotation_from_quaternion(quats)
    mean, _ = ours.vertex_gradients(F, torch.ones(2), torch.tensor([0, 2]).int(), torch.tensor([0, 1]).int())
    torch.testing.assert_close(mean[0], 2 * torch.eye(3), rtol=0, atol=1e-5)


def test_errors_name_the_argument():
    verts, rest = triangles(4)
    with pytest.raises(ValueError, match="normal_stretch must be one of uniform, thickness, volume, not wild"):
        ours.triangle_gradients(verts.float(), single(rest), "wild")
    with pytest.raises(ValueError, match="duals must be float32"):
        ours.triangle_gradients(verts.float(), rest)
    with pytest.raises(ValueError, match="begins must be int32"):
        ours.vertex_gradients(torch.zeros(2, 3, 3), torch.zeros(2), torch.tensor([0, 2]), torch.tensor([0, 1]).int())
