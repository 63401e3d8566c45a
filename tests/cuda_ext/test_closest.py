# SPDX-License-Identifier: Apache-2.0
"""Closest points on meshes, against every triangle tried one by one."""

import pytest
import torch

from milo.cuda_ext.closest import closest_on_mesh


def brute_force(points, verts, faces):
    """Squared distances [N, F] float64: least over the plane's foot, where it is inside, and the three edges."""
    a, b, c = (verts.double()[faces[:, k].long()] for k in range(3))
    p = points.double()[:, None]

    def segment(u, v):
        along = v - u
        t = (((p - u) * along).sum(-1) / (along * along).sum(-1).clamp_min(1e-300)).clamp(0, 1)
        return ((p - u - t[..., None] * along) ** 2).sum(-1)

    best = torch.minimum(torch.minimum(segment(a, b), segment(b, c)), segment(c, a))
    normal = torch.linalg.cross(b - a, c - a)
    area2 = (normal * normal).sum(-1)
    height = ((p - a) * normal).sum(-1) / area2.clamp_min(1e-300)
    foot = p - height[..., None] * normal
    inside = area2.expand(height.shape) > 1e-20
    for u, v in ((a, b), (b, c), (c, a)):
        inside = inside & ((torch.linalg.cross((v - u).expand_as(foot), foot - u) * normal).sum(-1) >= 0)
    return torch.where(inside, height**2 * area2, best)


def random_mesh(seed, count=300, thin=False):
    random = torch.Generator().manual_seed(seed)
    verts = torch.rand(count, 3, generator=random)
    faces = torch.randint(count, (2 * count, 3), generator=random, dtype=torch.int32)   # some are edges or points
    if thin:
        verts[:, 2] *= 1e-6
    return verts, faces, torch.rand(200, 3, generator=random) * 1.6 - 0.3


@pytest.mark.parametrize("thin", [False, True])
def test_closest_is_the_closest(thin):
    verts, faces, points = random_mesh(1, thin=thin)
    hits = closest_on_mesh(points, verts, faces)
    assert hits.counts.tolist() == [1] * len(points)
    torch.testing.assert_close(hits.shares.sum(1), torch.ones(len(points)))
    at = (hits.shares[:, :, None].double() * verts.double()[faces[hits.faces.long()].long()]).sum(1)
    distance = (points.double() - at).norm(dim=1)
    torch.testing.assert_close(distance, brute_force(points, verts, faces).amin(1).sqrt(), rtol=0, atol=1e-6)


def test_slack_finds_every_face_as_close():
    verts, faces, points = random_mesh(2)
    verts, faces = torch.cat([verts, verts]), torch.cat([faces, faces + len(verts)])     # each face twice
    distance = brute_force(points, verts, faces).sqrt()
    hits = closest_on_mesh(points, verts, faces, torch.full((len(points),), 0.05))
    expected = distance <= distance.amin(1, keepdim=True) + 0.05
    assert hits.counts.tolist() == expected.sum(1).tolist()
    assert hits.faces.tolist() == expected.nonzero()[:, 1].tolist()
    exact = closest_on_mesh(points, verts, faces, torch.zeros(len(points)))
    assert (exact.counts >= 2).all() and (exact.counts % 2 == 0).all()


def test_bad_arguments_are_named():
    verts, faces, points = random_mesh(3)
    for wrong, name in (((points.double(), verts, faces), "points"), ((points, verts, faces[:0]), "faces"),
                        ((points, verts, faces + 1000), "faces"), ((points * float("nan"), verts, faces), "points"),
                        ((points, verts, faces, -torch.ones(len(points))), "slack")):
        with pytest.raises(ValueError, match=name):
            closest_on_mesh(*wrong)
