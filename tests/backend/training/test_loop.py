# SPDX-License-Identifier: Apache-2.0
"""That training fits photos, without and with geometry renders."""

import dataclasses

import numpy as np
import pytest
import torch

from milo.backend.rendering.splats import render_geometry
from milo.backend.training.loop import Training
from milo.backend.training.snapshots import held_out_psnr, preview

SPLATS_ALONE = {
    "densify.until_iter": 0, "densify.simplify1_iter": 0, "densify.simplify2_iter": 0, "model.sh_storage_start": 1,
    "schedule.iterations": 60, "schedule.half_resolution_until": 0,
    "optim": {"sh_dc_lr": 0.02, "opacity_lr": 0.2, "scale_lr": 0.04, "position_lr_init": 1e-3}}


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize(("geometry_from", "rasterizer"), [(1, "radegs"), (1, "gof"), (1000, "radegs")])
def test_training_fits_held_out_views(ball, short_config, geometry_from, rasterizer, device):
    config = short_config(**SPLATS_ALONE, **{"schedule.depth_normal_from": geometry_from,
                                             "model.rasterizer": rasterizer})
    training = Training(ball, config, device)
    before = held_out_psnr(training)
    losses = [float(training.step().loss) for _ in range(60)]
    assert np.mean(losses[-6:]) < 0.6 * np.mean(losses[:6])
    assert held_out_psnr(training) > before + 3
    rendering, photo = preview(training)
    assert rendering.shape == photo.shape == (24, 28, 3)


def test_masks_clear_what_hides_before_a_black_background(ball, short_config):
    """Black Gaussians in the air cost nothing before black, unless the masks say that nothing is there."""
    rng = np.random.default_rng(1)
    air = rng.normal(size=(60, 3))
    air *= 0.8 / np.linalg.norm(air, axis=1, keepdims=True)
    hidden = dataclasses.replace(
        ball, train=[dataclasses.replace(view, mask=view.image.amax(2).gt(0).to(torch.uint8) * 255)
                     for view in ball.train],
        points=np.concatenate([ball.points, air]), colors=np.concatenate([ball.colors, np.zeros((60, 3), np.uint8)]))
    haze = []
    for weight in (0.0, 0.3):
        config = short_config(**SPLATS_ALONE, **{"schedule.depth_normal_from": 1, "loss.mask_weight": weight})
        training = Training(hidden, config)
        for _ in range(60):
            training.step()
        rendered = [render_geometry(training.gaussians.splats().detach(), view.camera) for view in hidden.train]
        haze.append(float(np.mean([drawn.alpha[view.mask == 0].mean() for drawn, view in zip(rendered, hidden.train)])))
    assert haze[1] < 0.5 * haze[0]
