# SPDX-License-Identifier: Apache-2.0
"""What modifiers do to a mesh, made by hand: copies, shells, mirrors, holes, other objects."""

import numpy as np
import pytest
import torch

from milo.backend.editing.deform import Follower
from milo.backend.rendering.splats import Splats, render_view
from milo.protocol.surfaces import Pose, Surface

from .conftest import SIZE, K, covariances, look_at, normals_of, pose_of, psnr, similarity, surface_of

CAMERA = look_at((1.0, -7.0, 2.0))


def joined(*splats):
    """Several sets of Gaussians as one."""
    return Splats(*(torch.cat(values) if isinstance(values[0], torch.Tensor) else values[0] for values in zip(*splats)))


def moved(splats, offset):
    return splats._replace(means=splats.means + torch.tensor(offset))


def pictures_agree(posed, expected, least=50):
    picture, truth = posed.picture(CAMERA, K, SIZE).image, render_view(expected, CAMERA, K, SIZE).image
    assert truth.amax(0).gt(0.05).float().mean() > 0.05
    assert psnr(picture, truth) > least


def test_deleting_half_hides_only_that_half(ball):
    verts, faces, source = ball
    kept = verts[faces].mean(1)[:, 0] > 0
    follower = Follower({1: source}, *surface_of(verts, faces[kept]))
    x = source.anchors.points[:, 0]
    shown = torch.zeros(1500, dtype=torch.bool)
    shown[follower.gaussian] = True
    assert shown[x > 0.02].all() and not shown[x < -0.3].any()
    assert shown[:50].sum() > 10                                 # floaters over the half that stays, stay


def test_an_array_has_splats_on_every_copy(ball):
    verts, faces, source = ball
    offset = (2.5, 0.0, 0.0)
    twice = np.concatenate([verts, verts + np.float32(offset)])
    both = np.concatenate([faces, faces + len(verts)])
    for replicate in (True, False):
        surface, pose = surface_of(twice, both, rest_co=np.concatenate([verts, verts]), replicate=replicate)
        posed = Follower({1: source}, surface, pose).pose(pose)
        expected = joined(source.splats, moved(source.splats, offset)) if replicate else source.splats
        assert len(posed.splats.means) == len(expected.means)
        pictures_agree(posed, expected)


def test_a_mirror_modifier_is_the_reflection_and_its_seam_holds(ball):
    """Faces of the copy are wound the other way; rest normals are copied as they are."""
    verts, faces, source = ball
    half = faces[(verts[faces][:, :, 0] > -1e-6).all(1)]
    normals = normals_of(verts, faces)
    flipped = verts * np.float32([-1, 1, 1])
    on_seam = np.abs(verts[:, 0]) < 1e-6
    other = np.where(on_seam, np.arange(len(verts)), np.arange(len(verts)) + len(verts)).astype(np.int32)   # merged
    both = np.concatenate([half, other[half][:, ::-1]])
    surface, pose = surface_of(np.concatenate([verts, flipped]), np.ascontiguousarray(both),
                               rest_co=np.concatenate([verts, verts]), rest_n=np.concatenate([normals, normals]),
                               replicate=True)
    follower = Follower({1: source}, surface, pose)
    posed = follower.pose(pose)
    mirror = torch.diag(torch.tensor([-1.0, 1, 1]))
    splats = source.splats
    right = posed.splats.means[:, 0] * posed.unit > 0
    deep = source.splats.means[follower.gaussian][:, 0] > 0.25
    for side, M in ((right, torch.eye(3)), (~right, mirror)):
        rows = side & deep
        assert rows.sum() > 300
        of = follower.gaussian[rows]
        torch.testing.assert_close(posed.splats.means[rows] * posed.unit, splats.means[of] @ M, rtol=0, atol=1e-4)
        torch.testing.assert_close(covariances(posed.splats)[rows] * posed.unit**2,
                                   M.double() @ covariances(splats)[of] @ M.double(), rtol=1e-2, atol=1e-7)
    assert posed.splats.scales.min() > 0.5 * splats.scales.min()       # nothing shrinks at the seam


def test_a_solidified_shell_is_followed_outside(ball):
    verts, faces, source = ball
    shell = np.concatenate([verts, 0.8 * verts])
    both = np.concatenate([faces[:, ::-1] + len(verts), faces])        # the inner faces come first
    normals = normals_of(verts, faces)
    surface, pose = surface_of(shell, np.ascontiguousarray(both), rest_co=np.concatenate([verts, verts]),
                               rest_n=np.concatenate([normals, normals]))
    posed = Follower({1: source}, surface, pose).pose(pose)
    assert len(posed.splats.means) == 1500
    pictures_agree(posed, source.splats)


def test_other_geometry_holds_no_splats(ball):
    """A cube that was joined in, without rest positions, lies where everything is 0."""
    verts, faces, source = ball
    cube = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)], np.float32) + 3
    sides = np.array([[0, 1, 3], [4, 6, 7], [0, 4, 5]], np.int32) + len(verts)
    all_faces = np.concatenate([faces, sides])
    rest = np.concatenate([verts, 0 * cube])
    ok = np.concatenate([np.ones(len(verts)), np.zeros(len(cube))]).astype(np.float32)
    src = np.concatenate([np.ones(len(faces)), np.zeros(3)]).astype(np.int32)
    surface = Surface(all_faces, rest, ok, np.concatenate([normals_of(verts, faces), 0 * cube]), src,
                      np.zeros(len(all_faces), np.int32), np.zeros(1, np.uint8), np.zeros(1, np.uint8))
    pose = pose_of(np.concatenate([verts, cube]))
    pictures_agree(Follower({1: source}, surface, pose).pose(pose), source.splats)
    nothing = Surface(sides, rest, ok, surface.rest_n, src[-3:], surface.part[:3], surface.replicate, surface.flip)
    with pytest.raises(ValueError, match="rest position"):
        Follower({1: source}, nothing, pose)
    with pytest.raises(ValueError, match="number 1"):
        Follower({2: source}, surface, pose)


def test_two_objects_and_two_reconstructions_at_once(ball):
    """Each object has its own transform; Join leaves both sources in one object."""
    verts, faces, source = ball
    other = type(source)(source.splats._replace(sh_dc=-source.splats.sh_dc, sh_rest=source.splats.sh_rest[:, :3],
                                                sh_degree=1), source.anchors)
    twice, both = np.concatenate([verts, verts]), np.concatenate([faces, faces + len(verts)])
    part = np.repeat(np.int32([0, 1]), len(faces))
    surface, _ = surface_of(twice, both, src=part + 1, part=part, parts=2)
    matrices = np.stack([np.eye(4), similarity(move=(0.5, 2.5, 0.0), scale=0.6)]).astype(np.float32)
    posed = Follower({1: source, 2: other}, surface, Pose(twice, matrices)).pose(Pose(twice, matrices))
    alone = [Follower({number: one}, *surface_of(verts, faces, src=np.full(len(faces), number, np.int32)))
             .pose(pose_of(verts, matrix)) for number, one, matrix in zip((1, 2), (source, other), matrices)]
    parts = [one.splats._replace(means=one.splats.means * one.unit, scales=one.splats.scales * one.unit,
                                 sh_degree=3, sh_rest=torch.nn.functional.pad(
                                     one.splats.sh_rest, (0, 0, 0, 15 - one.splats.sh_rest.shape[1])))
             for one in alone]
    pictures_agree(posed, joined(*parts))

    shifted = np.concatenate([verts, verts + np.float32([2.5, 0, 0])])
    surface, pose = surface_of(shifted, both, rest_co=twice, src=part + 1)
    posed = Follower({1: source, 2: other}, surface, pose).pose(pose)
    pictures_agree(posed, joined(source.splats, moved(other.splats, (2.5, 0.0, 0.0))._replace(
        sh_rest=parts[1].sh_rest * 0 + torch.nn.functional.pad(other.splats.sh_rest, (0, 0, 0, 12)))))
