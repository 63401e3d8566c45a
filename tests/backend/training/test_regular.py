# SPDX-License-Identifier: Apache-2.0
"""Regular densification (spec training.md 3.8): its schedule, and a run that follows it."""

import numpy as np
import pytest
import torch

from milo.backend.config import load_config
from milo.backend.training import loop as module
from milo.backend.training.loop import Training
from milo.backend.training.schedule import events, timeline

SHORT = {
    "densify": {"method": "regular", "from_iter": 4, "interval": 4, "until_iter": 30, "opacity_reset_interval": 16,
                "min_opacity": 0.02, "clone_from": 0, "reinit_iter": 0, "simplify1_iter": 0, "simplify2_iter": 0,
                "grad_threshold": 1e-4},
    "schedule": {"iterations": 40, "half_resolution_until": 0, "depth_normal_from": 35, "sh_steps": [10]},
    "model": {"sh_degree": 1, "sh_storage_start": 1, "max_gaussians": 600}}


def at(config, name):
    return [k for k, event in timeline(config) if event == name]


@pytest.mark.parametrize("presets", [["regular"], ["dtu"], ["regular", "verylow"]])
def test_dry_run_of_the_regular_schedule(presets):
    """The end of section 6: "Regular schedule, for comparison"; the stop of the fusion as Q7 has it."""
    config = load_config(presets)
    assert at(config, "densify") == list(range(600, 15_000, 100))
    assert at(config, "reset_opacity") == [3000, 6000, 9000, 12_000]
    assert at(config, "sh") == [1000, 2000, 3000]
    assert at(config, "delaunay") == [20_001, *range(20_500, 30_000, 500)]
    assert at(config, "sdf") == [20_001, *range(20_500, 25_001, 500)]
    assert at(config, "labels") == [20_001, *range(20_200, 30_001, 200)]
    assert not {"clone", "reinit", "simplify1", "simplify2"} & {name for _, name in timeline(config)}
    assert all(events(config, k).geometry and not events(config, k).half for k in (1, 3000, 14_999))
    assert not events(config, 14_999).depth_normal and events(config, 15_000).depth_normal
    assert not events(config, 3000).drop_large and events(config, 3100).drop_large


def test_a_white_background_brings_one_more_reset():
    assert at(load_config(["regular"], {"data.white_background": True}), "reset_opacity")[0] == 500


def test_a_regular_run_grows_as_its_schedule_says(ball, short_config, monkeypatch):
    config = short_config(**SHORT)
    log, sizes, opacities = [], [], []
    training = Training(ball, config, on_event=lambda k, name: log.append((k, name)))
    monkeypatch.setattr(module, "rasterize_train", lambda *_: pytest.fail("regular runs render geometry alone"))
    for k in range(1, 41):
        step = training.step()
        sizes.append(len(training.gaussians))
        opacities.append(float(training.gaussians.splats().detach().opacities.max()))
        assert ("depth_normal" in step.terms) == (k >= 35)
    assert log == list(timeline(config))
    assert sizes[3] == len(ball.points) and sizes[7] > sizes[3]
    assert opacities[15] <= 0.0101 < opacities[14]
    assert np.isfinite(float(step.loss))


def test_a_reset_alone_leaves_the_other_parameters_their_step(ball, short_config):
    """On white, at the beginning of densification, nothing else changes the set (3.8)."""
    training = Training(ball, short_config(**SHORT | {"data.white_background": True}))
    for _ in range(3):
        training.step()
    before = training.gaussians.means.detach().clone()
    training.step()
    assert training.gaussians.splats().opacities.detach().max() <= 0.0101
    assert not torch.equal(training.gaussians.means.detach(), before)
    assert np.isfinite(float(training.step().loss))
