# SPDX-License-Identifier: Apache-2.0
"""A reconstruction of one half of the ball."""

import numpy as np
import pytest

from milo.backend.data.ply import read_splats
from milo.backend.training.errors import TrainingError
from milo.backend.training.events import Snapshot
from milo.backend.training.loop import Training
from milo.backend.training.reconstruct import reconstruct

from .test_mesh_in_training import MESH

HALF = [1, 0, 0, 1.0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]     # x from 0 to 2


@pytest.mark.parametrize("limit", [0, 9 * 40])
def test_pivots_and_meshes_stay_in_the_region(ball, short_config, tmp_path, limit):
    settings = MESH | {"region.box": HALF, "region.keep_background": False, "mesh.max_points": limit,
                       "run.snapshot_interval": 10, "extract.refine_iters": 2}
    meshes = [event for event in reconstruct(ball, short_config(**settings), tmp_path) if isinstance(event, Snapshot)]
    assert {mesh.kind for mesh in meshes} >= {"live", "final"}
    for mesh in meshes:
        assert len(mesh.faces) > 20 and mesh.verts[:, 0].min() >= 0
        assert mesh.verts[:, 0].max() > 0.3                      # the half that was asked for is there
    assert read_splats(tmp_path / "splats.ply").means[:, 0].min() >= 0


def test_only_gaussians_inside_carry_pivots_and_the_background_is_kept(ball, short_config, tmp_path):
    config = short_config(**MESH | {"region.box": HALF, "schedule.iterations": 20, "mesh.stop_iter": 20})
    training = Training(ball, config)
    for _ in range(16):
        training.step()
    chosen = training.gaussians.means.detach()[training.mesh.chosen.long()]
    everywhere = training.gaussians.means.detach()
    assert chosen[:, 0].min() > -0.2 and everywhere[:, 0].min() < -0.3
    assert len(training.mesh.chosen) == (everywhere[:, 0] >= -0.1).sum()    # a margin of a tenth of the half side
    assert training.mesh.candidates == len(training.mesh.chosen)            # their boxes do not grow
    list(reconstruct(ball, config, tmp_path))
    assert np.min(read_splats(tmp_path / "splats.ply").means[:, 0]) < -0.3


def test_a_region_without_anything_is_said(ball, short_config):
    far = [1, 0, 0, 90.0, *HALF[4:]]
    training = Training(ball, short_config(**MESH, **{"region.box": far}))
    with pytest.raises(TrainingError, match="region of interest"):
        for _ in range(14):
            training.step()
