# SPDX-License-Identifier: Apache-2.0
"""Pictures of meshes show what is there, and the page holds them all."""

from __future__ import annotations

import numpy as np
import torch

from milo.backend.data.cameras import Camera
from milo.backend.evaluation.contact_sheet import PAGE, Cell, contact_sheet, spread
from milo.backend.evaluation.mesh_pictures import MeshPainter

CAMERA = Camera(torch.eye(4), torch.tensor([[50.0, 0, 20], [0, 50, 15], [0, 0, 1]]), 40, 30)


def wall(slope: float = 0.0, left: float = -10.0):
    """A wall at z = 5 + slope x, to the right of x = left."""
    corners = np.array([[left, -10], [10, -10], [10, 10], [left, 10]])
    verts = np.column_stack([corners, 5 + slope * corners[:, 0]]).astype(np.float32)
    return verts, np.array([[0, 1, 2], [0, 2, 3]])


def test_normals_point_at_the_viewer_whatever_the_winding():
    verts, faces = wall()
    for winding in (faces, faces[:, ::-1]):
        picture = MeshPainter(verts, winding.copy(), CAMERA).normals()
        assert picture.shape == (30, 40, 3) and (picture == [128, 128, 255]).all()


def test_a_wall_that_recedes_to_the_right_faces_right():
    normal = MeshPainter(*wall(slope=0.2), CAMERA).normals()[14, 20] / 255.0 * 2 - 1
    np.testing.assert_allclose(normal, np.array([0.2, 0, -1]) / np.hypot(0.2, 1) * [1, -1, -1], atol=0.01)


def test_shading_darkens_what_turns_away():
    light = [MeshPainter(*wall(slope), CAMERA).shaded()[15, 20, 0] for slope in (0.0, 0.1)]
    grazing = MeshPainter(*wall(-8.0), CAMERA).shaded()[15, 20, 0]
    assert max(light) > 150 and grazing < min(light) - 50


def test_colors_are_those_of_the_vertices_and_edges_are_averaged():
    verts, faces = wall(left=0.05)    # the edge is at column 20.5: half a pixel
    colors = np.full((4, 3), (200, 100, 50), np.uint8)
    picture = MeshPainter(verts, faces, CAMERA, background=(0, 0, 0)).colored(colors)
    assert (picture[:, 25:] == [200, 100, 50]).all() and (picture[:, :18] == 0).all()
    np.testing.assert_allclose(picture[15, 20], [100, 50, 25], atol=2)


def test_an_empty_mesh_is_all_background():
    painter = MeshPainter(np.zeros((0, 3)), np.zeros((0, 3), int), CAMERA)
    for picture in (painter.shaded(), painter.normals(), painter.colored(np.zeros((0, 3), np.uint8))):
        assert (picture == PAGE).all()


def test_the_sheet_holds_every_picture_at_its_place():
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]
    cells = [Cell(np.full((30, 40, 3), color, np.uint8), "caption") for color in colors]
    page = np.asarray(contact_sheet("title", ["left", "right"], [cells[:2], cells[2:]], strip=cells, cell_width=80))
    positions = [np.argwhere((page == color).all(axis=2)) for color in colors]
    for found in positions:
        assert 80 * 60 < len(found) <= 2 * 80 * 60       # once in the table, once (smaller) in the strip
    first = [found[: 20].mean(0) for found in positions]
    assert first[0][1] < first[1][1] and abs(first[0][0] - first[1][0]) < 1 and first[2][0] > first[0][0] + 60
    assert (page[:, :20] == PAGE).all() and (page[:, -20:] == PAGE).all()


def test_spread():
    assert spread(list(range(3)), 5) == [0, 1, 2]
    assert spread(list(range(9)), 5) == [0, 2, 4, 6, 8]
    assert spread(list(range(9)), 1) == [0] and spread([], 4) == []
