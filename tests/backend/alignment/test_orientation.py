# SPDX-License-Identifier: Apache-2.0
"""Which way is up, where the ground is, and how large the scene becomes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from milo.backend.alignment.align import moved
from milo.backend.alignment.orientation import ORBIT, cameras_up, choose_frame


def turned(viewmats, points, seed):
    """The same scene in a frame that is turned, shifted and scaled at random; and that frame's up."""
    rng = np.random.default_rng(seed)
    rotation, shift, scale = Rotation.random(rng=rng).as_matrix(), rng.normal(size=3), rng.uniform(0.2, 5)
    rotations = viewmats[:, :, :3] @ rotation.T
    translations = scale * viewmats[:, :, 3] - rotations @ shift
    return np.concatenate([rotations, translations[:, :, None]], 2), scale * points @ rotation.T + shift, rotation[:, 2]


def subject_on_ground(ground: bool, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blob = rng.normal(size=(600, 3)) * 0.2 + [0, 0, 0.4]
    floor = np.column_stack([rng.uniform(-1, 1, (600, 2)), rng.normal(size=600) * 0.002])
    return np.concatenate([blob[blob[:, 2] > 0.02], floor]) if ground else blob


@pytest.mark.parametrize("seed", range(4))
def test_cameras_held_level_tell_up(made, seed):
    viewmats, points, up = turned(made.orbit(30), subject_on_ground(False), seed)
    found, source = cameras_up(viewmats[:, :, :3])
    assert source == "cameras" and found @ up > np.cos(np.radians(0.1))
    frame = choose_frame(viewmats, points)
    assert not frame.ground and frame.up_from == "cameras"


@pytest.mark.parametrize("seed", range(4))
def test_a_ground_corrects_tilted_cameras(made, seed):
    rng = np.random.default_rng(seed)
    viewmats = made.orbit(30)
    tilt = rng.normal(6, 4, (30, 1))                    # the photographer's camera hangs to one side
    roll = Rotation.from_euler("z", tilt, degrees=True).as_matrix()
    viewmats = roll @ viewmats
    viewmats, points, up = turned(viewmats, subject_on_ground(True, seed), seed)
    frame = choose_frame(viewmats, points)
    assert frame.ground and frame.up_from == "ground"
    scale = np.cbrt(np.linalg.det(frame.similarity[:, :3]))
    assert frame.similarity[:, :3] @ up / scale @ [0, 0, 1] > np.cos(np.radians(0.5))
    floor = points[-600:] @ frame.similarity[:, :3].T + frame.similarity[:, 3]
    assert abs(np.median(floor[:, 2])) < 0.02


def test_cameras_stand_at_a_handy_distance_and_keep_their_pictures(made):
    viewmats, points, _ = turned(made.orbit(24), subject_on_ground(True), 5)
    frame = choose_frame(viewmats, points)
    cameras = moved(viewmats, frame)
    centers = -np.einsum("cji,cj->ci", cameras[:, :, :3], cameras[:, :, 3])
    assert np.median(np.linalg.norm(centers - [0, 0, 0], axis=1)) == pytest.approx(ORBIT, rel=0.1)
    world = points @ frame.similarity[:, :3].T + frame.similarity[:, 3]
    for before, after in zip(viewmats, cameras):       # the same pixels, for any K
        a = points @ before[:, :3].T + before[:, 3]
        b = world @ after[:, :3].T + after[:, 3]
        assert np.allclose(a[:, :2] / a[:, 2:], b[:, :2] / b[:, 2:], atol=1e-6)


def test_a_picture_that_is_seen_from_the_front_only_takes_the_photos_own_up(made):
    viewmats = np.stack([made.look_at((x, -3.0, z)) for x in (-0.2, 0.0, 0.2) for z in (-0.1, 0.1)])
    up, source = cameras_up(viewmats[:, :, :3])
    assert source == "photos" and up @ [0, 0, 1] > 0.99
