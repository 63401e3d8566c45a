# SPDX-License-Identifier: Apache-2.0
"""False merges are found and not used; sound models stay whole."""

from __future__ import annotations

import dataclasses

import numpy as np

from milo.backend.alignment.models import SolvedModel, consistent_part, contradiction


def merged(first: SolvedModel, second: SolvedModel, bridge: int) -> SolvedModel:
    """Both in one frame, tied together by `bridge` points that photo 0 of each sees."""
    count, points = len(first.names), len(first.points)
    shift = np.array([count, points])
    ties = np.array([(camera, points + len(second.points) + i) for i in range(bridge) for camera in (0, count)],
                    np.int32).reshape(-1, 2)
    pairs = second.pairs + np.array([count, count, 0, 0])
    return SolvedModel(0, first.names + [f"b{name}" for name in second.names],
                       np.concatenate([first.viewmats, second.viewmats]),
                       np.concatenate([first.points, second.points, np.zeros((bridge, 3))]),
                       np.full(points + len(second.points) + bridge, 0.5),
                       np.concatenate([first.seen, second.seen + shift, ties]).astype(np.int32),
                       np.concatenate([first.pairs, pairs]).astype(np.int32))


def test_a_sound_orbit_stays_whole(made):
    model = made.orbit_model()
    assert consistent_part(model).names == model.names


def test_two_sides_on_top_of_each_other_are_taken_apart(made):
    """The photos of the back stand beside those of the front and share nothing with them but a few false points."""
    front, back = made.orbit_model(26), made.orbit_model(20)
    part = consistent_part(merged(front, back, bridge=60))
    assert part.names == front.names


def test_parts_that_hang_by_a_few_points_are_taken_apart(made):
    front, back = made.orbit_model(26), dataclasses.replace(made.orbit_model(20), viewmats=made.orbit(20, radius=9.0))
    part = consistent_part(merged(front, back, bridge=5))
    assert part.names == front.names
    assert part.seen[:, 0].max() < 26 and part.seen[:, 1].max() < len(part.points)
    assert part.pairs[:, :2].max() < 26


def test_orbits_at_two_heights_that_share_points_stay_together(made):
    """Two rings of one subject are neighbours in space that do show the same: no seam."""
    low, high = made.orbit_model(20), dataclasses.replace(made.orbit_model(20), viewmats=made.orbit(20, height=1.4))
    model = merged(low, high, bridge=0)
    row = np.arange(20)
    extra = np.array([(camera, len(model.points) + 20 * c + i) for c in row for i in range(20)
                      for camera in (c, 20 + c)], np.int32)
    model = dataclasses.replace(model, points=np.concatenate([model.points, np.zeros((400, 3))]),
                                errors=np.full(len(model.points) + 400, 0.5),
                                seen=np.concatenate([model.seen, extra]))
    assert len(consistent_part(model).names) == 40


def test_a_model_that_its_own_matches_contradict_is_refused(made):
    model = made.orbit_model()
    pairs = model.pairs.copy()
    pairs[::2, 3] = 10                  # every second pair's matches lie off the model's epipolar lines
    wrong = dataclasses.replace(model, pairs=pairs)
    assert contradiction(wrong) > 0.4 and consistent_part(wrong) is None
    few = model.pairs.copy()
    few[::10, 3] = 10                   # look-alikes that were verified by mistake do not condemn a model
    assert consistent_part(dataclasses.replace(model, pairs=few)) is not None
