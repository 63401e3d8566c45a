# SPDX-License-Identifier: Apache-2.0
"""Fields from made views of a plane at depth 2: fusion, labels, and what masks say about the air beside it."""

from dataclasses import replace

import pytest
import torch

from milo.backend.data.cameras import Camera
from milo.backend.data.scene import View
from milo.backend.mesh.fields import fused_sdf, occupancy_labels, vertex_colors
from milo.backend.rendering.scale import SceneScale

SCALE = SceneScale(extent=1.0, splat_near=0.01, mesh_near=0.01, mesh_far=100.0, truncation=0.01)
SIZE = 64
# A square of side 1 at depth 2 before the camera, facing it.
VERTS = torch.tensor([[-0.5, -0.5, 2], [0.5, -0.5, 2], [0.5, 0.5, 2], [-0.5, 0.5, 2]])
FACES = torch.tensor([[0, 2, 1], [0, 3, 2]], dtype=torch.int32)


@pytest.fixture
def view():
    """One camera at the origin; the photo is red where the square is, and the mask knows it."""
    K = torch.tensor([[64.0, 0, 32], [0, 64, 32], [0, 0, 1]])
    inside = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    inside[16:48, 16:48] = True
    image = torch.zeros(SIZE, SIZE, 3, dtype=torch.uint8)
    image[inside] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    return View(Camera(torch.eye(4), K, SIZE, SIZE, "a.png"), 0, image, inside.to(torch.uint8) * 255)


POINTS = torch.tensor([[0.0, 0, 1.996], [0, 0, 2.005], [0, 0, 2.5], [0.9, 0, 2.0], [0, 0, -1.0]])


def test_depth_is_fused_around_the_surface(view):
    """In front, behind within the truncation, too far behind, beside it, behind the camera."""
    depth = torch.where(view.mask > 0, 2.0, 0.0)
    unmasked = fused_sdf(POINTS, [view], [depth], SCALE, carve=False)
    assert torch.allclose(unmasked, torch.tensor([0.4, -0.5, -1, -1, -1]), atol=1e-3)
    carved = fused_sdf(POINTS, [view], [depth], SCALE, carve=True)
    assert torch.allclose(carved, torch.tensor([0.4, -0.5, -1, 1, -1]), atol=1e-3)


def test_labels_say_what_the_mesh_hides(view):
    assert occupancy_labels(POINTS, VERTS, FACES, [view], SCALE, carve=False).tolist() == [0, 1, 1, 1, 1]
    assert occupancy_labels(POINTS, VERTS, FACES, [view], SCALE, carve=True).tolist() == [0, 1, 1, 0, 1]


def test_the_outline_itself_is_never_carved(view):
    """The ring of pixels next to the mask is left unjudged: half a pixel of error must not eat the object."""
    just_outside = torch.tensor([[(48.5 - 32) / 64 * 2, 0.0, 2.0]])
    assert occupancy_labels(just_outside, VERTS, FACES, [view], SCALE, carve=True).item() == 1


def test_vertices_take_the_photos_colours(view):
    """A vertex in sight is red; one whose photo pixel mixes in the background, or that no view sees, gets nothing."""
    mixed = view.mask.clone()
    mixed[32:, :] = 128
    verts = torch.cat([VERTS, torch.tensor([[0.1, -0.2, 2.0], [0.1, 0.2, 2.0], [0.0, 0, -3]])])
    colors = vertex_colors(verts, FACES, [replace(view, mask=mixed)], SCALE)
    assert colors[4:].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_colours_go_on_beside_the_photos(view):
    """Faces that leave the picture keep the colour with which they leave; what hangs on nothing is black."""
    x = torch.tensor([0.0, 0.4, 3, 6, 9])
    strip = torch.cat([torch.stack([x, torch.full_like(x, y), torch.full_like(x, 2)], dim=1) for y in (-0.4, 0.4)])
    i = torch.arange(4)
    faces = torch.cat([torch.stack([i, i + 1, i + 5], dim=1), torch.stack([i + 1, i + 6, i + 5], dim=1)])
    apart = torch.tensor([[30.0, 0, 2], [31, 0, 2], [30, 1, 2]])
    faces = torch.cat([faces, torch.tensor([[10, 11, 12]])]).int()
    colors = vertex_colors(torch.cat([strip, apart]), faces, [view], SCALE)
    assert torch.allclose(colors[:10], torch.tensor([1.0, 0, 0]).expand(10, 3)) and (colors[10:] == 0).all()
