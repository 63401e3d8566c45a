# SPDX-License-Identifier: Apache-2.0
"""Charts, their texels, and the colours and normals that texels get."""

import numpy as np
import pytest
import torch

from milo.backend.finishing.asset import draw_textured
from milo.backend.finishing.bake import Photo, bake_colors
from milo.backend.finishing.decimate import decimate
from milo.backend.finishing.normal_map import bake_normals
from milo.backend.finishing.texels import picture, texels_of
from milo.backend.finishing.unwrap import unwrap
from milo.cuda_ext.triangles import visibility

from .conftest import around, grid_sphere, look_at, paint, photo_of

SIZE = 256


@pytest.fixture(scope="module")
def charted(ball):
    return unwrap(*ball, SIZE)


@pytest.fixture(scope="module")
def texels(charted):
    return texels_of(charted, SIZE)


def on(mesh):
    return torch.from_numpy(mesh.verts), torch.from_numpy(mesh.faces)


def test_charts_lie_in_the_square_and_do_not_overlap(ball, charted):
    """Drawn with the faces in either order, every texel shows the same face: nowhere do two lie over each other."""
    uvs, faces = torch.from_numpy(charted.uvs), torch.from_numpy(charted.faces)
    assert uvs.min() >= 0 and uvs.max() <= 1 and len(faces) == len(ball[1])
    flat = torch.cat([uvs * 1024, torch.ones_like(uvs[:, :1])], dim=1)
    camera = torch.eye(4), torch.eye(3), (1024, 1024)
    first = visibility(flat, faces, *camera)
    last = visibility(flat, faces.flip(0), *camera)
    covered = first >= 0
    assert torch.equal(first[covered], len(faces) - 1 - last[covered])
    assert covered.float().mean() > 0.4
    np.testing.assert_array_equal(charted.verts[charted.faces], ball[0][ball[1]])


def test_texels_lie_on_the_surface(texels):
    radius = texels.points.norm(dim=1)
    assert radius.max() < 1.0001 and radius.min() > 0.97
    assert ((texels.points / radius[:, None]) * texels.normals).sum(1).min() > 0.99


def test_a_painted_ball_gets_its_paint_back(ball, charted, texels):
    """Every texel of a ball, photographed from fourteen sides, has the colour of its point; seams show nowhere."""
    photos = [photo_of(*ball, camera) for camera in around()]
    colors, weight = bake_colors(texels, *on(charted), photos)
    assert (weight > 0).float().mean() > 0.999
    error = (colors - torch.from_numpy(paint(texels.points.numpy())).float()).abs().amax(1)
    assert error.max() < 0.03 and error.mean() < 0.004
    asset = picture(texels, colors)
    for eye in ((2.5, 1.5, 1.0), (-2, 2, -2)):       # views that no photo was taken from
        camera = look_at(eye)
        drawn = draw_textured(charted, asset, camera, torch.zeros(3))
        truth = photo_of(*ball, camera)
        inside = -torch.nn.functional.max_pool2d(-truth.opaque[None].float(), 5, 1, 2)[0] > 0
        assert (drawn - truth.image).abs().amax(0)[inside].max() < 0.04


def test_what_hides_a_texel_gives_it_no_colour(ball):
    """A small red plate before a white ball: photos that see the plate do not paint the ball behind it."""
    plate = (np.array([[1.5, -0.3, -0.3], [1.5, 0.3, -0.3], [1.5, 0.3, 0.3], [1.5, -0.3, 0.3]], np.float32),
             np.array([[0, 1, 2], [0, 2, 3]], np.int32))
    verts = np.concatenate([ball[0], plate[0]])
    faces = np.concatenate([ball[1], plate[1] + len(ball[0])]).astype(np.int32)

    def colors(points):
        red = points[..., :1] > 1.2
        return np.where(red, [1.0, 0.0, 0.0], [1.0, 1.0, 1.0])

    mesh = unwrap(verts, faces, SIZE)
    texels = texels_of(mesh, SIZE)
    photos = [photo_of(verts, faces, camera, colors) for camera in [look_at((4, 0, 0)), look_at((3, 2.5, 0))]]
    baked, weight = bake_colors(texels, *on(mesh), photos)
    on_ball = texels.points[:, 0] < 1.2
    seen = weight > 0
    assert baked[on_ball & seen][:, 1].min() > 0.95
    front = ~on_ball & seen
    assert front.any() and baked[front][:, 1].max() < 0.1


def test_unseen_texels_take_the_colour_of_near_ones(ball, charted, texels):
    """Photos from above alone, where all is blue: below the ball is blue too, and not black."""
    photos = [photo_of(*ball, look_at((0, 0, 4)), lambda points: np.eye(3)[np.full(points.shape[:-1], 2)])]
    colors, weight = bake_colors(texels, *on(charted), photos)
    assert 0.2 < (weight > 0).float().mean() < 0.6
    assert colors[:, 2].min() > 0.98 and colors[:, :2].max() < 0.02


def test_masks_keep_the_background_out(charted, texels, ball):
    """The photo's mask is half the picture: the other half colours nothing."""
    photo = photo_of(*ball, look_at((0, -4, 0)))
    half = photo.opaque.clone()
    half[:, :48] = False
    _, weight = bake_colors(texels, *on(charted), [Photo(photo.camera, photo.image, half)])
    assert (texels.points[weight > 0][:, 0] > -0.03).all() and (weight > 0).any()


def test_the_space_between_charts_is_like_the_nearest_chart(texels):
    red = torch.zeros(len(texels.index), 3)
    red[:, 0] = 1
    assert (picture(texels, red) == [255, 0, 0]).all()


def test_stopping_from_a_photo(ball, charted, texels):
    done = []

    def stop(count):
        done.append(count)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        bake_colors(texels, *on(charted), [photo_of(*ball, camera) for camera in around()], on_photo=stop)
    assert done == [1]


def test_a_normal_map_brings_the_relief_back():
    """A ball of 300 triangles with the normals of one of 9,600: turned back by its own frame they are the ball's."""
    full = grid_sphere(40)
    mesh = unwrap(*decimate(*full, 300), SIZE)
    texels = texels_of(mesh, SIZE)
    local = bake_normals(texels, *full) * 2 - 1
    tangent = texels.tangents[:, :3] - (texels.tangents[:, :3] * texels.normals).sum(1, True) * texels.normals
    tangent = torch.nn.functional.normalize(tangent, dim=1)
    bitangent = texels.tangents[:, 3:] * torch.linalg.cross(texels.normals, tangent)
    back = local[:, :1] * tangent + local[:, 1:2] * bitangent + local[:, 2:] * texels.normals
    truth = torch.nn.functional.normalize(texels.points, dim=1)
    angle = torch.rad2deg(torch.acos((back * truth).sum(1).clamp(-1, 1)))
    own = torch.rad2deg(torch.acos((texels.normals * truth).sum(1).clamp(-1, 1)))
    assert angle.quantile(0.99) < 3.0 and angle.mean() < 0.5 * own.mean()


def test_tangents_follow_u_and_bitangents_the_image_upwards(texels, charted):
    """In the plane of each face, one texel to the right is a step along the tangent, one up along the bitangent."""
    size, at = texels.size, torch.full((texels.size**2,), -1)
    at[texels.index] = torch.arange(len(texels.index))
    right = at[(texels.index + 1) % size**2]
    up = at[(texels.index - size).clamp_min(0)]
    same = (right >= 0) & (up >= 0)
    same &= (texels.face[right] == texels.face) & (texels.face[up] == texels.face)
    step_right, step_up = (texels.points[other] - texels.points for other in (right, up))
    bitangent = texels.tangents[:, 3:] * torch.linalg.cross(texels.normals, texels.tangents[:, :3])
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(step_right, texels.tangents[:, :3])[same].min() > 0.9
    assert cosine(step_up, bitangent)[same].min() > 0.8
