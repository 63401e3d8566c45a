# SPDX-License-Identifier: Apache-2.0
"""Floaters, unseen backs and holes; fewer triangles."""

import numpy as np
import pytest

from milo.backend.finishing.clean import clean, close_holes, evened, open_edges, pieces
from milo.backend.finishing.decimate import decimate, face_areas

from .conftest import grid_sphere


def volume(verts, faces):
    a, b, c = verts[faces].astype(float).transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def joined(*meshes):
    start = np.cumsum([0, *(len(verts) for verts, _ in meshes)])
    return (np.concatenate([verts for verts, _ in meshes]),
            np.concatenate([faces + first for (_, faces), first in zip(meshes, start)]).astype(np.int32))


def test_floaters_and_what_no_photo_sees_are_dropped(ball):
    floater, hidden = grid_sphere(2, 0.05, (2, 0, 0)), grid_sphere(8, 0.5)
    verts, faces = joined(ball, floater, hidden)
    seen = np.ones(len(faces), bool)
    seen[-len(hidden[1]):] = False      # within the ball
    verts, faces = clean(verts, faces, seen)
    assert len(faces) == len(ball[1]) and pieces(len(verts), faces).max() == 0
    assert np.linalg.norm(verts, axis=1).min() > 0.99


def test_a_back_that_no_photo_sees_stays_open(ball):
    verts, faces = ball
    seen = verts[faces][:, :, 2].mean(1) > -0.5
    kept = clean(verts, faces, seen, rings=0)
    assert kept[0][:, 2].min() > -0.75 and len(open_edges(len(kept[0]), kept[1])[0]) > 0
    assert len(kept[1]) >= seen.sum()
    wider = clean(verts, faces, seen, rings=1)
    assert len(wider[1]) > len(kept[1])


def test_small_holes_are_closed_and_large_ones_stay(ball):
    verts, faces = ball
    at = verts[faces].mean(1)
    small = np.linalg.norm(at - [1, 0, 0], axis=1) < 0.2
    large = np.linalg.norm(at - [0, 0, 1], axis=1) < 0.7
    closed = close_holes(verts, faces[~small], 2.0)
    assert small.sum() >= 4 and not len(open_edges(len(closed[0]), closed[1])[0])
    assert volume(*closed) == pytest.approx(volume(verts, faces), rel=0.01)    # turned outward, and where it was
    both = close_holes(verts, faces[~(small | large)], 2.0)
    left = open_edges(len(both[0]), both[1])
    assert len(left[0]) and (both[0][left[0]][:, 2] > 0.5).all()


def test_a_whole_mesh_stays_as_it_is(ball):
    verts, faces = clean(*ball, np.ones(len(ball[1]), bool))
    np.testing.assert_array_equal(verts, ball[0])
    np.testing.assert_array_equal(faces, ball[1])


def test_nothing_seen_is_an_error(ball):
    with pytest.raises(ValueError, match="No photo sees"):
        clean(*ball, np.zeros(len(ball[1]), bool))


@pytest.mark.parametrize("triangles", [600, 100])
def test_decimation_keeps_the_target_and_the_shape(triangles):
    ball = grid_sphere(20)
    verts, faces = decimate(*ball, triangles)
    assert triangles * 0.8 < len(faces) <= triangles
    assert volume(verts, faces) == pytest.approx(4 / 3 * np.pi, rel=0.15)
    assert face_areas(verts, faces).min() > 0


def test_slivers_do_not_stop_decimation():
    """A ball of marching tetrahedra's kind: each vertex has close twins, and slivers between them."""
    verts, faces = grid_sphere(40)
    corner = verts[faces]
    middle = corner.mean(1, keepdims=True)
    near = corner + 1e-4 * (middle - corner)                     # a triangle within each triangle, all but as large
    first = len(verts) + 3 * np.arange(len(faces))[:, None]
    inner = first + np.arange(3)
    bands = [np.stack([faces[:, a], faces[:, b], inner[:, b]], 1) for a, b in ((0, 1), (1, 2), (2, 0))]
    bands += [np.stack([faces[:, a], inner[:, b], inner[:, a]], 1) for a, b in ((0, 1), (1, 2), (2, 0))]
    sliced = np.concatenate([verts, near.reshape(-1, 3)]), np.concatenate([inner, *bands]).astype(np.int32)
    few = decimate(*sliced, 1000)
    assert 500 < len(few[1]) <= 1000 and volume(*few) == pytest.approx(4 / 3 * np.pi, rel=0.05)
    assert not len(open_edges(len(few[0]), few[1])[0])


def test_slivers_and_folds_are_evened_out_before_decimation():
    """A ball whose vertices lie anywhere near their places: evened, it keeps its shape and turns no face over."""
    verts, faces = grid_sphere(60)
    rough = (verts + 0.02 * np.random.default_rng(0).normal(size=verts.shape)).astype(np.float32)

    def turned_over(verts, faces):
        a, b, c = verts[faces].transpose(1, 0, 2)
        return float((np.einsum("fk,fk->f", np.cross(b - a, c - a), a + b + c) < 0).mean())
    even = evened(rough, faces)
    assert turned_over(rough, faces) > 0.05
    assert volume(even, faces) == pytest.approx(volume(verts, faces), rel=0.01)
    assert np.abs(np.linalg.norm(even, axis=1) - 1).mean() < 0.5 * np.abs(np.linalg.norm(rough, axis=1) - 1).mean()
    few = decimate(even, faces, 2000)
    assert len(few[1]) > 1800 and turned_over(*few) < 0.002 < turned_over(*decimate(rough, faces, 2000))
