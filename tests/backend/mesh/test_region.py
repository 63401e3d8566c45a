# SPDX-License-Identifier: Apache-2.0
"""The box of interest: what lies in it, and what a mesh loses outside of it."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from milo.backend.config import ConfigError, load_config
from milo.backend.mesh.region import Region, region_of


def box(rotation=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0), location=(0.0, 0.0, 0.0)) -> list[float]:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", rotation, degrees=True).as_matrix() * scale
    matrix[:3, 3] = location
    return matrix.ravel().tolist()


def test_a_turned_box_holds_what_lies_in_it():
    region = Region(box((0, 0, 45), (2.0, 0.5, 1.0), (10.0, 0.0, 0.0)))
    along, across = np.sqrt(0.5) * np.array([1, 1, 0]), np.sqrt(0.5) * np.array([-1, 1, 0])
    points = torch.tensor(np.array([[10, 0, 0] + a * along + b * across for a, b in
                                    ((1.9, 0), (2.1, 0), (0, 0.4), (0, 0.6), (-1.9, -0.4))]), dtype=torch.float32)
    assert region.contains(points).tolist() == [True, False, True, False, True]
    assert region.contains(points, margin=0.3).all()


def test_a_mesh_is_cropped_to_whole_faces():
    verts = torch.tensor([[0.0, 0, 0], [0.9, 0, 0], [0, 0.9, 0], [2.0, 0, 0], [0, 0, 0.5]])
    faces = torch.tensor([[0, 1, 2], [1, 3, 2], [0, 2, 4]], dtype=torch.int32)
    kept, corners = Region(box()).crop(verts, faces)
    assert len(kept) == 4 and len(corners) == 2
    assert torch.equal(kept[corners.long()], verts[faces[[0, 2]].long()])


def test_settings():
    assert region_of(load_config()) is None
    matrix = box((10, 20, 30), (1, 2, 3), (4, 5, 6))
    config = load_config([], {"region.box": matrix, "region.keep_background": False})
    assert np.allclose(region_of(config).to_box.inverse().ravel(), matrix)
    for wrong in (matrix[:12], [*matrix[:12], 0, 0, 0, 2], [float("nan"), *matrix[1:]], box(scale=(1, 0, 1))):
        with pytest.raises(ConfigError, match=r"region\.box"):
            load_config([], {"region.box": wrong})
    with pytest.raises(ConfigError, match="margin"):
        load_config([], {"region.margin": -1})
