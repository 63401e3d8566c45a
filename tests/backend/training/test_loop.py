# SPDX-License-Identifier: Apache-2.0
"""That training fits photos, without and with geometry renders."""

import numpy as np
import pytest

from milo.backend.training.loop import Training
from milo.backend.training.snapshots import held_out_psnr, preview


@pytest.mark.parametrize("geometry_from", [1, 1000])
def test_training_fits_held_out_views(ball, short_config, geometry_from):
    config = short_config(**{
        "densify.until_iter": 0, "densify.simplify1_iter": 0, "densify.simplify2_iter": 0, "model.sh_storage_start": 1,
        "schedule.depth_normal_from": geometry_from, "schedule.iterations": 60, "schedule.half_resolution_until": 0,
        "optim": {"sh_dc_lr": 0.02, "opacity_lr": 0.2, "scale_lr": 0.04, "position_lr_init": 1e-3}})
    training = Training(ball, config)
    before = held_out_psnr(training)
    losses = [float(training.step().loss) for _ in range(60)]
    assert np.mean(losses[-6:]) < 0.6 * np.mean(losses[:6])
    assert held_out_psnr(training) > before + 3
    assert preview(training).shape == (24, 28, 3)
