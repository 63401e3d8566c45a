# SPDX-License-Identifier: Apache-2.0
import torch

from milo.backend.mesh.provisional import provisional_mesh
from milo.backend.rendering.splats import Splats


def mesh(ball, splats, most=0):
    return provisional_mesh(splats, ball.views, ball.scale, most, carve=False)


def test_no_limit_takes_all(ball):
    unlimited, limited = mesh(ball, ball.splats), mesh(ball, ball.splats, 9 * len(ball.splats.means))
    assert len(unlimited[1]) > 1000
    assert torch.equal(unlimited[0], limited[0]) and torch.equal(unlimited[1], limited[1])


def test_fewer_pivots_make_the_same_ball(ball):
    verts, faces = mesh(ball, ball.splats, 9 * 200)
    assert 100 < len(faces) < 0.6 * len(mesh(ball, ball.splats)[1])
    assert (verts.norm(dim=1) - 0.5).abs().median() < 0.05


def test_less_hangs_in_the_air_beside_the_photos(ball):
    """A ball in a round room, photographed from one side: walls that no view judges are not the inside of something.
    (With such pivots inside, as the field in training has it, a fifth of the faces hang in the air.)"""
    room, count = 4.0, 400
    views = [view for view in ball.views if float(view.camera.center @ ball.views[0].camera.center) > 0]
    splats = Splats(*(torch.cat([value, value[:count]]) if torch.is_tensor(value) else value for value in ball.splats))
    splats.means[-count:] *= room / 0.5
    splats.scales[-count:] = 0.5
    verts, faces = provisional_mesh(splats, views, ball.scale, 0, carve=False)
    radius = verts[faces.long()].norm(dim=2)
    assert len(faces) > 1000 and ((radius > 0.8) & (radius < 2.5)).any(dim=1).float().mean() < 0.15
