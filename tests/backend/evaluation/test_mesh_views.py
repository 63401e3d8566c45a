# SPDX-License-Identifier: Apache-2.0
"""Meshes in their vertex colours, and what cameras see of them."""

import pytest
import torch

from milo.backend.data.cameras import Camera
from milo.backend.evaluation.mesh_views import draw_colored, seen_faces

SIZE = 40, 60


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    return request.param


def camera(device="cpu", back=False):
    """At the origin; it looks along z, or along -z."""
    K = torch.tensor([[50.0, 0, 30], [0, 50, 20], [0, 0, 1]])
    viewmat = torch.diag(torch.tensor([-1.0, 1, -1, 1])) if back else torch.eye(4)
    return Camera(viewmat, K, SIZE[1], SIZE[0]).to(device)


def square(z, half):
    """Two triangles that face the camera at depth z."""
    corners = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    return corners * half + torch.tensor([0.0, 0, z]), torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)


def both(first, second):
    return torch.cat([first[0], second[0]]), torch.cat([first[1], second[1] + len(first[0])])


def test_vertex_colours_lie_where_the_vertices_do(device):
    """A square whose red grows with x and green with y, before blue."""
    verts, faces = (tensor.to(device) for tensor in square(2.0, 0.5))
    colors = torch.cat([verts[:, :2] + 0.5, torch.zeros_like(verts[:, :1])], dim=1)
    image, covered = draw_colored(verts, faces, colors, camera(device), torch.tensor([0.0, 0, 1], device=device))
    image, covered = image.cpu(), covered.cpu()
    inside = torch.zeros(SIZE, dtype=torch.bool)
    inside[8:33, 18:43] = True      # 12.5 pixels around the centre (30, 20)
    assert (covered & ~inside).sum() == 0 and covered.sum() >= 24 * 24
    rows, cols = torch.meshgrid(torch.arange(SIZE[0]) + 0.5, torch.arange(SIZE[1]) + 0.5, indexing="ij")
    deep = torch.zeros(SIZE, dtype=torch.bool)
    deep[10:31, 20:41] = True       # antialiasing changes the outline alone
    torch.testing.assert_close(image[0][deep], ((cols - 30) / 25 + 0.5)[deep], atol=1e-4, rtol=0)
    torch.testing.assert_close(image[1][deep], ((rows - 20) / 25 + 0.5)[deep], atol=1e-4, rtol=0)
    assert (image[2][~covered] > 0.4).all() and (image[2][0] == 1).all()


def test_faces_behind_others_are_unseen_until_a_camera_stands_behind(device):
    front, behind = square(2.0, 1.0), square(3.0, 0.5)
    verts, faces = (tensor.to(device) for tensor in both(front, behind))
    ahead, back = camera(device), camera(device, back=True)
    assert seen_faces(verts, faces, [ahead]).tolist() == [True, True, False, False]
    assert not seen_faces(verts, faces, [back]).any()
    turned = Camera(back.viewmat.clone(), back.K, back.width, back.height)
    turned.viewmat[2, 3] = 6.0      # at z = 6, looking back
    assert seen_faces(verts, faces, [ahead, turned]).all()
    assert seen_faces(verts, faces[:0], [ahead]).shape == (0,)


def test_faces_too_small_for_a_pixel_are_seen_unless_something_hides_them(device):
    """A sheet of triangles of a twelfth of a pixel, and the same sheet behind it."""
    side = 60
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    verts = torch.stack([(column - side / 2) * 0.4 / 25, (row - side / 2) * 0.4 / 25, torch.full_like(row, 2)], -1)
    corner = (row * side + column)[:-1, :-1].reshape(-1)
    faces = torch.cat([torch.stack([corner, corner + 1, corner + side], 1),
                       torch.stack([corner + 1, corner + side + 1, corner + side], 1)]).int()
    verts = verts.reshape(-1, 3).float()
    verts, faces = both((verts, faces), (verts + torch.tensor([0.0, 0, 0.3]), faces))
    seen = seen_faces(verts.to(device), faces.to(device), [camera(device)]).cpu()
    front, behind = seen.view(2, -1).float().mean(1)
    assert front > 0.99 and behind < 0.01
