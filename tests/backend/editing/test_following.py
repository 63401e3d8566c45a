# SPDX-License-Identifier: Apache-2.0
"""Gaussians follow deformations as the mathematics says (spec extraction_evaluation_editing.md, 3.7 and check 11)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from milo.backend.editing.binding import Source
from milo.backend.editing.deform import Follower
from milo.backend.rendering.splats import render_view
from milo.cuda_ext.deformation import turn_harmonics
from milo.cuda_ext.reference.projection import sh_colours

from .conftest import (
    DEVICES,
    SIZE,
    K,
    bar_of_gaussians,
    bend,
    covariances,
    look_at,
    placed,
    pose_of,
    psnr,
    rotation,
    scatter,
    similarity,
    surface_of,
)


def test_an_identity_edit_changes_nothing(ball):
    verts, faces, source = ball
    half = faces[verts[faces].mean(1)[:, 0] > 0]             # an open border: closest points lie on edges and corners
    for some in (faces, half):
        opened = Source.of(source.splats, verts, some)
        surface, pose = surface_of(verts, some)
        follower = Follower({1: opened}, surface, pose)
        posed = follower.pose(pose)
        assert follower.gaussian.tolist() == list(range(1500)) and abs(posed.unit - 1) < 1e-6
        rest = opened.splats
        torch.testing.assert_close(posed.splats.means * posed.unit, rest.means, rtol=0, atol=1e-6)
        torch.testing.assert_close(covariances(posed.splats), covariances(rest), rtol=1e-5, atol=1e-9)
        torch.testing.assert_close(posed.splats.sh_rest, rest.sh_rest, rtol=0, atol=1e-5)
        assert torch.equal(posed.splats.opacities, rest.opacities)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("rasterizer", ["radegs", "gof"])
def test_a_rigid_motion_is_the_camera_moved_the_other_way(ball, device, applied, rasterizer):
    """Rotate 137 degrees, scale 1.7 and move, as the object's transform or applied to its vertices."""
    verts, faces, source = ball
    W = similarity()
    surface, rest = surface_of(verts, faces)
    moved = pose_of(verts @ W[:3, :3].T + W[:3, 3]) if applied else pose_of(verts, W)
    follower = Follower({1: source}, surface, rest, device)
    camera = look_at(W[:3, 3] + np.array([1.0, -4.5, 1.5]), W[:3, 3]).to(device)
    picture = follower.pose(moved).picture(camera, K.to(device), SIZE, rasterizer=rasterizer)
    expected = render_view(source.splats.to(device), camera @ torch.tensor(W, dtype=torch.float32, device=device),
                           K.to(device), SIZE, rasterizer=rasterizer)
    assert expected.alpha.mean() > 0.2
    assert psnr(picture.image, expected.image) > 50
    assert psnr(picture.alpha, expected.alpha) > 50
    both = (picture.depth > 0) & (expected.depth > 0)
    assert ((picture.depth - expected.depth)[both].abs() < 1e-3).float().mean() > 0.99


def test_poses_in_any_order_are_as_if_they_came_alone(ball):
    """What a follower keeps from one pose to the next never shows: bent, then moved as a whole, then at rest again."""
    verts, faces, source = ball
    surface, rest = surface_of(verts, faces)
    bent = pose_of(verts + 0.2 * np.float32([1, 0, 0]) * verts[:, 2:] ** 2)
    follower = Follower({1: source}, surface, rest)
    for pose in (rest, bent, replace(bent, matrices=similarity()[None].astype(np.float32)), rest):
        alone = Follower({1: source}, surface, rest).pose(pose)
        kept = follower.pose(pose)
        for name in ("means", "scales", "sh_rest"):
            assert torch.equal(getattr(kept.splats, name), getattr(alone.splats, name))


def test_a_mirrored_object_is_its_reflection(ball):
    """Scale (-1, 1, 1): means, covariances and colours of the reflected Gaussians."""
    verts, faces, source = ball
    surface, rest = surface_of(verts, faces)
    M = np.diag([-1.0, 1, 1, 1])
    posed = Follower({1: source}, surface, rest).pose(pose_of(verts, M)).splats
    mirror = torch.diag(torch.tensor([-1.0, 1, 1]))
    splats = source.splats
    torch.testing.assert_close(posed.means, splats.means @ mirror, rtol=0, atol=1e-5)
    torch.testing.assert_close(covariances(posed), mirror.double() @ covariances(splats) @ mirror.double(), rtol=1e-4,
                               atol=1e-8)
    camera = look_at((1.0, -4.0, 2.0))
    centre = -camera[:3, :3].T @ camera[:3, 3]
    mirrored = camera.clone()
    mirrored[:3, 3] = -mirrored[:3, :3] @ (mirror @ centre)
    torch.testing.assert_close(sh_colours(posed.means, posed.sh_dc, posed.sh_rest, 3, mirrored),
                               sh_colours(splats.means, splats.sh_dc, splats.sh_rest, 3, camera), rtol=0, atol=2e-5)


def test_harmonics_turn_exactly():
    random = torch.Generator().manual_seed(4)
    coefficients = torch.randn(40, 15, 3, generator=random, dtype=torch.float64)
    Q = torch.linalg.qr(torch.randn(40, 3, 3, generator=random, dtype=torch.float64)).Q
    Q[::2, 0] *= -1                                                # reflections too
    assert set(torch.linalg.det(Q).round().tolist()) == {-1.0, 1.0}
    dc = torch.zeros(40, 3, dtype=torch.float64)
    where = torch.randn(40, 3, generator=random, dtype=torch.float64)
    eye = torch.eye(4, dtype=torch.float64)
    for degree in (1, 2, 3):
        count = (degree + 1) ** 2 - 1
        turned = turn_harmonics(coefficients[:, :count], Q, degree)
        bright = dc + 20                                          # so that no colour is cut at 0
        torch.testing.assert_close(sh_colours(where, bright, turned, degree, eye), sh_colours(
            (Q.transpose(1, 2) @ where[..., None])[..., 0], bright, coefficients[:, :count], degree, eye))


@pytest.mark.parametrize("device", DEVICES)
def test_a_bent_bar_matches_gaussians_placed_analytically(device):
    verts, faces, splats = bar_of_gaussians()
    source = Source.of(splats, verts, faces)
    surface, rest = surface_of(verts, faces)
    posed = Follower({1: source}, surface, rest, device, normal_stretch="thickness").pose(
        pose_of(bend(torch.from_numpy(verts))[0].numpy()))
    ours = posed.splats.to("cpu")
    unit = posed.unit.cpu()
    means, J = bend(splats.means)
    assert (ours.means * unit - means).norm(dim=1).quantile(0.99) < 0.004         # of a bar that is 4 long
    expected = J.double() @ covariances(splats) @ J.double().transpose(1, 2)
    error = (covariances(ours) * unit**2 - expected).norm(dim=(1, 2)) / expected.norm(dim=(1, 2))
    assert error.median() < 0.01 and error.quantile(0.99) < 0.1
    camera = look_at((0.5, -6.0, 2.0), (0, 0, 0.6)).to(device)
    truth = placed(splats, means, J).to(device)
    assert psnr(posed.picture(camera, K.to(device), SIZE).image, render_view(truth, camera, K.to(device), SIZE).image
                ) > 35


def test_gradients_have_no_seams(ball):
    """Gaussians on both sides of an edge, a hair apart, come out alike, though their triangles turn apart."""
    verts, faces, _ = ball
    twist = np.stack([rotation((0, 0, 1), 60 * z) @ p * (1 + 0.5 * z) for p, z in zip(verts, verts[:, 2])])
    surface, rest = surface_of(verts, faces)
    edge = verts[faces[300]][[0, 1]].mean(0)
    inward = verts[faces[300]].mean(0) - edge
    means = torch.from_numpy(np.stack([edge + 1e-3 * inward, edge - 1e-3 * inward]).astype(np.float32))
    splats = scatter(verts, faces, 2)._replace(means=means, scales=torch.full((2, 3), 0.1))
    follower = Follower({1: Source.of(splats, verts, faces)}, surface, rest)
    covariance = covariances(follower.pose(pose_of(twist)).splats)
    assert (covariance[0] - covariance[1]).norm() < 0.01 * covariance[0].norm()


def test_triangles_that_turn_apart_keep_their_size():
    """A sheet folded by 170 degrees: a mean of matrices would shrink the Gaussians on the fold to nothing."""
    verts = np.array([[x, y, 0] for x in (-1.0, 0.0, 1.0) for y in (0.0, 1.0, 2.0)], np.float32)
    faces = np.array([f for i in (0, 3) for j in (0, 1) for f in ((i + j, i + j + 3, i + j + 4),
                                                                   (i + j, i + j + 4, i + j + 1))], np.int32)
    folded = verts.copy()
    folded[6:] = (verts[6:] @ rotation((0, 1, 0), 170).T).astype(np.float32)
    splats = scatter(verts, faces, 1)._replace(means=torch.tensor([[0.0, 1.0, 0.0]]), scales=torch.full((1, 3), 0.1))
    surface, rest = surface_of(verts, faces)
    follower = Follower({1: Source.of(splats, verts, faces)}, surface, rest)
    posed = follower.pose(pose_of(folded))
    scales = posed.splats.scales * posed.unit
    assert (scales > 0.08).all() and (scales < 0.12).all(), scales


def test_slivers_and_collapsed_regions(ball):
    """A sliver never hides a Gaussian; a region that has collapsed hides what is on it, but for
    the rings that still take their gradient from outside."""
    verts, faces, source = ball
    middle = verts[faces[100]].mean(0, keepdims=True)
    sliver = np.concatenate([verts, middle + 1e-5, middle - 1e-5])
    slivers = np.array([[len(verts), len(verts) + 1, faces[100, 0]]], np.int32)
    surface, rest = surface_of(sliver, np.concatenate([faces, slivers]))
    on_it = source.splats._replace(means=source.splats.means.clone())
    on_it.means[0] = torch.from_numpy(0.5 * (middle[0] + verts[faces[100, 0]]))
    posed = Follower({1: Source.of(on_it, sliver, surface.faces)}, surface, rest).pose(rest)
    torch.testing.assert_close(posed.splats.means * posed.unit, on_it.means, rtol=0, atol=1e-5)
    assert torch.equal(posed.splats.opacities, on_it.opacities)

    surface, rest = surface_of(verts, faces)
    flat = verts.copy()
    flat[verts[:, 2] > 0.01] = (0, 0, 0.5)                         # the upper half in one point
    posed = Follower({1: source}, surface, rest).pose(pose_of(flat))
    height = source.splats.means[50:, 2]
    hidden = posed.splats.opacities[50:] == 0
    assert hidden[height > 0.96].all() and not hidden[height < 0].any()
    assert all(torch.isfinite(value).all() for value in posed.splats[:6])


def test_a_stretch_has_its_limit(ball):
    verts, faces, source = ball
    surface, rest = surface_of(verts, faces)
    torn = verts.copy()
    torn[verts[:, 0] > 0.9] *= (1000, 1, 1)
    for limit, most in ((8.0, 8.1 * 0.05 * 1.5), (0, float("inf"))):
        posed = Follower({1: source}, surface, rest, stretch_max=limit).pose(pose_of(torn))
        assert (posed.splats.scales.max() * posed.unit < most) and (limit or posed.splats.scales.max() > 10)
