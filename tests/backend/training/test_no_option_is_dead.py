# SPDX-License-Identifier: Apache-2.0
"""Every option of the training changes the training: one value each, against the same run without it."""

import dataclasses
import itertools
import typing

import numpy as np
import pytest
import torch

from milo.backend.config import Config
from milo.backend.training.loop import Training

from .test_mesh_in_training import MESH

# section.option -> another value, or (what it needs besides, another value).
VALUES = {
    "model.sh_degree": 0, "model.sh_storage_start": ({"densify.simplify1_iter": 0}, 1),
    "model.initial_opacity": 0.3, "model.mip_filter": False,
    "model.near": 0.8, "model.near_unit": ({"model.near": 0.8}, "world"), "model.max_gaussians": 160,
    "model.rasterizer": "gof",
    "optim.position_lr_init": 1e-3, "optim.position_lr_final": 1e-5, "optim.position_lr_horizon": 10,
    "optim.sh_dc_lr": 0.01, "optim.sh_rest_lr": 0.01, "optim.opacity_lr": 0.1, "optim.scale_lr": 0.02,
    "optim.quat_lr": 0.02, "optim.exposure_lr": ({"loss.appearance": "exposure"}, 0.1), "optim.dense": True,
    "optim.beta1": 0.5, "optim.beta2": 0.9, "optim.eps": 1e-3,
    "schedule.iterations": 30, "schedule.half_resolution_until": 3,
    "schedule.flush_views": ({"schedule.half_resolution_until": 4}, False),
    "schedule.depth_normal_from": 30, "schedule.sh_steps": [33], "schedule.filter_interval": 7,
    "schedule.step_at_end": False,
    "densify.method": "regular", "densify.from_iter": 8, "densify.interval": 3, "densify.until_iter": 20,
    "densify.grad_threshold": 1e-2, "densify.percent_dense": 0.5, "densify.split_children": 3,
    "densify.split_shrink": 3.0, "densify.blur_fraction": ({"densify.grad_threshold": 1.0}, 0.5),
    "densify.min_opacity": 0.095,
    "densify.opacity_reset_interval": ({"densify.method": "regular"}, 5),
    "densify.max_scale": ({"densify.opacity_reset_interval": 4}, 0.02), "densify.clone_from": 12,
    "densify.clone_interval": 9, "densify.clone_prune_mass": 0.9, "densify.mass": 0.8, "densify.reinit_iter": 14,
    "densify.reinit_factor": 0.5, "densify.reinit_max": 50, "densify.simplify1_iter": 22,
    "densify.simplify2_iter": 30, "densify.sampling_factor": 0.3, "densify.importance": "indoor",
    "densify.dense": True, "densify.min_views": ({"densify.few_views": 0}, 3), "densify.few_views": 0,
    "loss.lambda_dssim": 0.5, "loss.appearance": "exposure", "loss.random_background": True, "loss.masked": "ignore",
    "loss.mask_weight": 0.2, "loss.depth_normal_weight": 0.5, "loss.depth_normal_expected": 0.1,
    "loss.depth_order": True, "loss.depth_order_at": ({"loss.depth_order": True}, [3, 4, 5, 6, 7]),
    "loss.depth_order_weights": ({"loss.depth_order": True}, [1.0] * 6),
    "mesh.start_iter": 15, "mesh.stop_iter": 14, "mesh.every": 2, "mesh.max_points": 450, "mesh.sampling": "random",
    "mesh.foreground": ({"mesh.max_points": 0, "densify.simplify2_iter": 0}, True), "mesh.redraw": True,
    "mesh.delaunay_interval": 5, "mesh.delaunay_lag": 4, "mesh.long_edges": "keep", "mesh.sdf_interval": 5,
    "mesh.sdf_source": "integration", "mesh.sdf_linear": ({"mesh.sdf_source": "integration"}, True),
    "mesh.sdf_binary_steps": 2, "mesh.sdf_linear_steps": ({"mesh.sdf_binary_steps": 2}, 1),
    "mesh.sdf_linear_std": ({"mesh.sdf_binary_steps": 2}, 0.2), "mesh.sdf_stop_iter": 14, "mesh.reset_mode": "none",
    "mesh.reset_alpha": 0.9, "mesh.labels_interval": 3, "mesh.depth_loss": "normal", "mesh.depth_weight": 0.5,
    "mesh.normal_source": "render", "mesh.normal_weight": 0.5, "mesh.centers_weight": 0.5, "mesh.labels_weight": 0.5,
    "mesh.label_loss": "masked", "mesh.depth_ratio": 0.3, "mesh.detach_splats": True, "mesh.trunc": 0.1,
    "mesh.antialias": False, "mesh.carve_masks": True, "mesh.near": 0.8, "mesh.far": 0.8,
    "mesh.depth_unit": ({"mesh.near": 0.8}, "world"), "optim.occupancy_lr": 0.5,
}
ELSEWHERE = {
    "optim.appearance_embedding_lr": "test_photo_loss.py", "optim.appearance_network_lr": "test_photo_loss.py",
    "mesh.frustum_filter": "mesh/test_view_loss.py", "mesh.rasterizer": "rendering, on a GPU where it is installed",
}
SECTIONS = ("model", "optim", "schedule", "densify", "loss", "mesh")


def test_every_option_is_in_this_list():
    names = {f"{section}.{field.name}" for section in SECTIONS
             for field in dataclasses.fields(typing.get_type_hints(Config)[section])}
    assert names == set(VALUES) | set(ELSEWHERE) and not set(VALUES) & set(ELSEWHERE)


@pytest.fixture(scope="module")
def scene(ball, tmp_path_factory):
    """The ball with masks that are a little too small, depth maps that lie, and a few points far away."""
    folder = tmp_path_factory.mktemp("scene")
    (folder / "depths").mkdir()
    train = []
    for view in ball.train:
        mask = view.image.amax(2).gt(0).to(torch.uint8) * 255
        mask[:, :10] = 0
        train.append(dataclasses.replace(view, mask=mask, image=view.image * (mask > 0)[..., None]))
        np.save(folder / "depths" / f"{view.camera.name}.npy", np.random.default_rng(0).random(mask.shape))
    far = np.random.default_rng(1).normal(size=(10, 3))
    far *= 5 / np.linalg.norm(far, axis=1, keepdims=True)
    return dataclasses.replace(ball, path=folder, train=train, test=[], points=np.concatenate([ball.points, far]),
                               colors=np.concatenate([ball.colors, np.full((10, 3), 128, np.uint8)]))


def seen(scene, config):
    """What can be seen of a run, step by step."""
    training = Training(scene, config)
    for _ in range(config.schedule.iterations):
        step = training.step()
        yield float(step.loss), len(training.gaussians), step.vertices
    yield float(training.gaussians.means.detach().double().sum())


def test_the_same_options_give_the_same_training(scene, short_config):
    """Else the differences below would say nothing."""
    once, again = (list(seen(scene, short_config(**MESH | {"loss.appearance": "exposure"}))) for _ in range(2))
    assert once == again and len(once) == 41


@pytest.mark.parametrize("option", VALUES)
def test_an_option_changes_the_training(scene, short_config, option):
    base = {"loss.depth_order_at": [2, 1500, 3000, 8000, 13_000]}
    if option.startswith("mesh.") or option == "optim.occupancy_lr":
        base = MESH | {"mesh.max_points": 900, "schedule.iterations": 30}
    needed, value = VALUES[option] if isinstance(VALUES[option], tuple) else ({}, VALUES[option])
    without, changed = short_config(**base | needed), short_config(**base | needed | {option: value})
    assert without != changed
    assert any(ours != theirs for ours, theirs in itertools.zip_longest(seen(scene, without), seen(scene, changed)))
