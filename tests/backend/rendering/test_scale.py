# SPDX-License-Identifier: Apache-2.0
"""Lengths that follow the scene, and the reference's that do not (spec training.md, Q4)."""

import pytest

from milo.backend.config import load_config
from milo.backend.rendering.scale import scene_scale


@pytest.mark.parametrize("extent", [1.0, 50.0])
def test_depths_follow_the_scene_unless_parity_is_asked(extent):
    ours, parity = (scene_scale(load_config([name]), extent) for name in ("default", "parity"))
    assert ours.mesh_near == pytest.approx(1e-3 * extent) and ours.mesh_far == float("inf")
    assert ours.splat_near == pytest.approx(0.05 * extent)
    assert (parity.splat_near, parity.mesh_near, parity.mesh_far) == (0.2, 0.01, 100.0)
    assert ours.truncation == parity.truncation == pytest.approx(0.002 * extent)
